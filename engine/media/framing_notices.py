"""What users are told of a framing, each as one true sentence or two."""

from __future__ import annotations

from collections.abc import Sequence

from engine.events import Notice

_TOLD_MADE_UP = 0.02  # of the window: the notice says how much it is
_SOFT = 2.0  # times that a photo is enlarged

NO_PRODUCT = Notice(
    "no_product",
    "No product is masked: the whole photo moves as one, and subject motion has nothing to move. "
    "Paint the product with the brush.",
)
LEFT_OUT = Notice(
    "part_left_out",
    "Some of the mask lies too far from the rest for this format and is not framed. Erase it where it is not the "
    "product, or choose another format.",
)
CONTINUED = Notice("background_extended", "The plain background is continued beyond the photo to fit format and move.")
AT_BORDER = Notice(
    "product_at_border",
    "The photo itself cuts the product, and around it there is too little room for this motion: the product may reach "
    "past the edge of the picture. Choose a weaker motion or another format.",
)


def reduced(scale: float) -> Notice:
    return Notice(
        "strength_reduced",
        "There is little room around the product: the camera moves "
        f"{round(scale * 100)} % as far as it otherwise would.",
    )


def extended(share: float) -> Notice:
    how_much = f" That is {round(share * 100)} % of the picture." if share >= _TOLD_MADE_UP else ""
    return Notice(
        "photo_extended",
        "The product with this format and move needs more picture than the photo has: beyond its edges its colours run "
        "on as a soft backdrop." + how_much,
    )


def cropped(is_cut: bool, whole_in: Sequence[str]) -> Notice:
    """`is_cut`: by the photo itself. `whole_in`: the formats that show all that the photo has of the product."""
    formats, show = " and ".join(whole_in) or "No format", "show" if len(whole_in) > 1 else "shows"
    if is_cut:
        what = "The photo itself cuts the product, and this format cuts more of it."
        return Notice("product_cropped", f"{what} {formats} {show} all that the photo has.")
    what = "The product is too large for this format: its middle is shown."
    return Notice("product_cropped", f"{what} {formats} {show} it whole.")


def softness(window_width: float, width: int) -> list[Notice]:
    """Of a window, in pixels of the photo, enlarged to `width` pixels of the video."""
    times = width / window_width
    if times <= _SOFT:
        return []
    return [
        Notice(
            "photo_small",
            f"The photo is small: what this format shows of it is enlarged {times:.1f} times and looks soft. Take a "
            "larger photo of the product where there is one.",
        )
    ]
