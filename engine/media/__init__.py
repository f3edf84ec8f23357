"""Photos in, frames and video files out: safe open, framing, the layered compositor, H.264. No torch.

Main path, in the order a generation takes it:

    photo   = open_photo(path)                                    # photo.py: hostile files end here, as MediaError
    kind    = background_kind(photo, mask)                        # background.py
    framing = plan_framing(photo.size, mask, "9:16", camera, background=kind, motion=motion)  # subject.py, windows.py
    layers  = build_layers(photo, mask, framing, (1080, 1920))    # layers.py: canvas, alpha, plate behind the product
    fields, scale = fit_to_canvas(fields, framing, layers.window_mask())  # fields.py: no border shows, product stays
    render_video(layers, fields, out, fps=24, frames=120)         # video.py, drawing with compose.py

To change how a frame looks, read `compose.py` (each frame), `plate.py` (what is behind the product, once a clip) and
`continuation.py` (what lies beyond the photo).
Pixels travel as 8-bit BT.709 YUV from `layers.py` to the encoder: the layers are in the encoder's own colours, so
nothing is converted per frame. `render_frame` gives RGB.
"""
