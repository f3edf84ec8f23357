"""What a user may ask of the engine: one discriminated union of pydantic models, every field bounded.

Torch-free: the web process validates requests with these very classes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

Format = Literal["9:16", "1:1", "4:5", "16:9"]
CameraMove = Literal[
    "auto",
    "static",
    "pan-left",
    "pan-right",
    "tilt-up",
    "tilt-down",
    "dolly-in",
    "dolly-out",
    "orbit-left",
    "orbit-right",
    "roll-left",
    "roll-right",
]
SubjectMotion = Literal["auto", "still", "float", "turn", "light-sweep"]

FORMATS: dict[Format, tuple[int, int]] = {"9:16": (9, 16), "1:1": (1, 1), "4:5": (4, 5), "16:9": (16, 9)}
MAX_SEED = 2**31 - 1
MAX_PROMPT = 2000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Strength = Annotated[FiniteFloat, Field(ge=0.1, le=1.0)]


class Camera(_Strict):
    """How the camera moves. `pan-left` turns the camera to the left: the picture travels to the right."""

    move: CameraMove = Field("auto", title="Camera move", description="auto: the prompt or the model decides.")
    strength: Strength = Field(0.6, title="Camera strength", description="Share of the largest move, 0.1 to 1.")


class Subject(_Strict):
    """What the product itself does."""

    motion: SubjectMotion = Field("auto", title="Subject motion", description="auto: the prompt or the model decides.")
    strength: Strength = Field(0.6, title="Subject strength", description="Share of the largest motion, 0.1 to 1.")


class ImageToVideo(_Strict):
    """A product photo becomes a video that keeps the product's own pixels.

    Lengths are in seconds, sizes in pixels of the shorter side, strengths a share of the largest move.
    """

    kind: Literal["image_to_video"] = "image_to_video"
    format: Format = Field("9:16", title="Format", description="Width to height of the video.")
    seconds: Annotated[FiniteFloat, Field(ge=3, le=15)] = Field(5.0, title="Length", description="3 to 15 seconds.")
    fps: Literal[24, 25, 30] = Field(24, title="Frames per second")
    short_side: Literal[540, 720, 1080] = Field(1080, title="Size", description="Pixels of the shorter side.")
    camera: Camera = Camera()
    subject: Subject = Subject()
    prompt: str = Field(
        "",
        max_length=MAX_PROMPT,
        title="Prompt",
        description="Plain words for the motion. A camera move or subject motion that is chosen explicitly wins.",
    )
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, title="Seed", description="The same seed gives the same video; empty: one is chosen."
    )
    steps: int = Field(12, ge=4, le=50, title="Denoising steps")

    @property
    def frames(self) -> int:
        """Number of frames of the video."""
        return round(self.seconds * self.fps)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the video in pixels, both even."""
        return output_size(self.format, self.short_side)


class TextToVideo(_Strict):
    """Words become a video. Served by imported models; the studio has no form for it yet."""

    kind: Literal["text_to_video"] = "text_to_video"
    format: Format = "9:16"
    seconds: Annotated[FiniteFloat, Field(ge=1, le=15)] = 5.0
    fps: Literal[24, 25, 30] = 24
    short_side: Literal[540, 720, 1080] = 1080
    prompt: str = Field(min_length=1, max_length=MAX_PROMPT)
    seed: int | None = Field(None, ge=0, le=MAX_SEED)
    steps: int = Field(12, ge=4, le=50)

    @property
    def frames(self) -> int:
        """Number of frames of the video."""
        return round(self.seconds * self.fps)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the video in pixels, both even."""
        return output_size(self.format, self.short_side)


class Sampled(_Strict):
    """The numbers of a video by a latent video model; its size and length are for `costs.check_size`."""

    fps: int = Field(24, ge=1, le=60)
    seed: int | None = Field(None, ge=0, le=MAX_SEED)
    steps: int | None = Field(None, ge=1, le=1000)
    guidance: FiniteFloat | None = Field(None, gt=0)


Request = ImageToVideo  # a union discriminated by `kind` as soon as there is a second kind
request_adapter: TypeAdapter[ImageToVideo] = TypeAdapter(Request)


def output_size(format: Format, short_side: int = 1080) -> tuple[int, int]:
    """(width, height) in even pixels of a format whose shorter side has `short_side` pixels."""
    w, h = FORMATS[format]
    scale = short_side / min(w, h)
    return 2 * round(w * scale / 2), 2 * round(h * scale / 2)
