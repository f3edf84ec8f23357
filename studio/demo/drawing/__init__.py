"""The program that drew the demo photos: `python -m studio.demo.drawing` writes them again (a few minutes).

A small renderer on signed distance fields, after the techniques that Inigo Quilez describes for soft shadows, ambient
occlusion and smooth unions. Distances are in centimetres, y is up, colours are linear light.
"""
