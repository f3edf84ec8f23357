"""Inference: a request and a photo in, a video file out. Knows no Django and no dataset.

`engine.generate` is the one path, readable top to bottom; `engine.requests`, `engine.bundles`, `engine.events` and
`engine.media` import no torch, so any process may use them.
"""

import logging

# What they say at every import, of parts that this machine has no use for: five lines before any command's own.
for _name in ("torchao", "torch.utils._pytree", "diffusers.quantizers.torchao.torchao_quantizer"):
    logging.getLogger(_name).setLevel(logging.ERROR)
