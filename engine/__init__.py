"""Inference: a request and a photo in, a video file out. Knows no Django and no dataset.

`engine.generate` is the one path, readable top to bottom; `engine.requests`, `engine.bundles`, `engine.events` and
`engine.media` import no torch, so any process may use them.
"""
