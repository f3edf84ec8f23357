"""The settings of each kind of generation: the engine's own request, and the assets it is made from."""

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from engine.requests import ImageToVideo
from studio.generations.capabilities import default_settings, narrowed_schema


class ImageToVideoSettings(ImageToVideo):
    """A product photo becomes a video that keeps the product's own pixels."""

    kind: Literal["image_to_video"] = Field("image_to_video", exclude=True)  # the job has it
    asset_id: UUID = Field(title="Photo", description="The photo that is set in motion.")
    mask: str | None = Field(
        None,
        pattern="^(auto|mask-[0-9a-z-]{1,50})$",
        title="Mask",
        description="Which mask of the photo, as the settings of an earlier job name it; auto: the product is found "
        "anew. Empty: the mask that the photo has when the job is made.",
    )

    def request(self) -> ImageToVideo:
        """What the engine is asked."""
        return ImageToVideo.model_validate(self.model_dump(exclude={"asset_id", "mask"}))


SETTINGS: dict[str, type[ImageToVideoSettings]] = {"image_to_video": ImageToVideoSettings}
TITLES = {"image_to_video": "Video from a photo"}
OF_THE_STUDIO = {"kind", "mask"}  # set by the studio itself: no form asks for them


def form_of(kind: str, can: dict[str, Any]) -> dict[str, Any]:
    """What a form needs to ask for a generation of this kind: title, JSON Schema and defaults of its settings.

    `can`: the capabilities of the bundle that would make it; the form shows no more than that.
    """
    schema, defaults = narrowed_schema(SETTINGS[kind], can), default_settings(SETTINGS[kind], can)
    for name in OF_THE_STUDIO:
        schema["properties"].pop(name, None)
        defaults.pop(name, None)
    return {"title": TITLES[kind], "schema": schema, "defaults": defaults}
