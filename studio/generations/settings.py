"""The settings of each kind of generation: the engine's own request, and the assets it is made from."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from engine.requests import ImageToVideo


class ImageToVideoSettings(ImageToVideo):
    """A product photo becomes a video that keeps the product's own pixels."""

    kind: Literal["image_to_video"] = Field("image_to_video", exclude=True)  # the job has it
    asset_id: UUID = Field(title="Photo", description="The photo that is set in motion.")

    def request(self) -> ImageToVideo:
        """What the engine is asked."""
        return ImageToVideo.model_validate(self.model_dump(exclude={"asset_id"}))


SETTINGS: dict[str, type[BaseModel]] = {"image_to_video": ImageToVideoSettings}
TITLES = {"image_to_video": "Video from a photo"}


def form_of(kind: str) -> dict[str, Any]:
    """What a form needs to ask for a generation of this kind: title, JSON Schema and defaults of its settings."""
    schema = SETTINGS[kind].model_json_schema()
    del schema["properties"]["kind"]
    return {"title": TITLES[kind], "schema": schema, "defaults": _defaults(kind)}


def _defaults(kind: str) -> dict[str, Any]:
    fields = SETTINGS[kind].model_fields
    chosen = {name: field.get_default() for name, field in fields.items() if not field.is_required() and name != "kind"}
    return {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in chosen.items()}
