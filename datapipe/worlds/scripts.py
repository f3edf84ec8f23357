"""What a shot shows, in words: every statement true of it, none of its camera move and subject motion left out."""

from __future__ import annotations

import numpy as np

from datapipe.worlds import captions
from datapipe.worlds.identities import Identity
from datapipe.worlds.motion import Motion
from datapipe.worlds.overlays import Overlay
from datapipe.worlds.staging import FRAMINGS, Stage

_SAID = {"headline": 'the headline "{}"', "price": "the price {}", "logo": "the logo {}"}


def describe(
    rng: np.random.Generator, role: str, identity: Identity, stage: Stage, motion: Motion, overlays: list[Overlay]
) -> str:
    """One or two sentences: framing, product, place, presenter, camera, subject, overlays."""
    product = f"a {identity.colour} {identity.body.noun}"
    if identity.label:
        product += f" labelled {identity.label}"
    place = f"in a {stage.scene.style} setting, {stage.scene.place} behind it"
    opening = f"{FRAMINGS[role].words.capitalize()} of {product} {place}"
    if stage.presenter is not None:
        opening = f"{FRAMINGS[role].words.capitalize()}: someone with {stage.presenter.looks} talks behind {product}"
    moves = [captions.camera_phrase(motion, rng), captions.subject_phrase(motion, identity.body.noun, rng)]
    text = ", ".join([opening, *(moves[i] for i in rng.permutation(2))]) + "."
    if overlays:
        said = [_SAID[overlay.kind].format(overlay.text) for overlay in overlays]
        text += f" Over it {' and '.join(said)}."
    return text
