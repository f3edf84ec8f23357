"""Endpoints of generations: what a video would show, before it is asked for."""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from pydantic import ValidationError
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from engine.events import PROMPT_CUT, Notice
from engine.media.errors import MediaError
from engine.media.framing import Framing
from engine.media.framing_notices import softness
from engine.requests import ImageToVideo
from studio.api.forms import JsonForm
from studio.api.job_serializers import NoticeSerializer
from studio.api.problems import FieldError, Problem, field_errors, invalid
from studio.api.views import WorkspaceView
from studio.assets.access import access_asset
from studio.assets.models import Asset, AssetKind
from studio.generations.framing import backdrop_of, preview_framing
from studio.generations.prompts import is_cut
from studio.generations.services import checked_settings
from studio.registry.selectors import default_model
from studio.workspaces.access import Actor, NotFound

KIND = "image_to_video"


class NewFramingSerializer(JsonForm):
    asset_id = serializers.UUIDField()
    settings = serializers.DictField(help_text="As for a job; format, camera, subject motion and prompt decide.")


class FramingSerializer(serializers.Serializer[Any]):
    """What part of the photo the video starts with, and what had to be done for it."""

    window = serializers.ListField(
        child=serializers.FloatField(),
        min_length=4,
        max_length=4,
        help_text="Left, top, right, bottom as fractions of the photo; beyond 0 and 1 the background is continued.",
    )
    extended = serializers.BooleanField()
    strength_scale = serializers.FloatField(help_text="What the camera's strength is multiplied with, 0.5 to 1.")
    backdrop = serializers.CharField(
        allow_null=True,
        help_text="The colour that see-through parts of the photo are laid over, #rrggbb; null for an opaque photo.",
    )
    notices = NoticeSerializer(many=True)


class FramingsView(WorkspaceView):
    """Framings of a photo."""

    @extend_schema(operation_id="framings_create", request=NewFramingSerializer, responses={200: FramingSerializer})
    def post(self, request: Request) -> Response:
        """Ask what a video with these settings would show of the photo. Nothing is made or stored."""
        form = NewFramingSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asset = _photo(self.actor, form.validated_data["asset_id"])
        settings = {**form.validated_data["settings"], "asset_id": asset.id}
        model = default_model()
        if KIND not in model.kinds:
            raise Problem(422, "unknown_kind", f"The model {model.name} makes no {KIND!r}: it frames no photo.")
        try:
            checked = checked_settings(KIND, settings, model.capabilities.get(KIND, {}))
        except ValidationError as error:
            raise invalid(field_errors(error, "settings")) from error
        asked = checked.request()
        framing, presented = _framed(self.actor, asset, asked)
        left, _, right, _ = presented["window"]
        told = [*framing.notices, *softness((right - left) * asset.width, asked.size[0])]
        told += [PROMPT_CUT] if is_cut(model, asked.prompt) else []
        return Response({**presented, "notices": _notices(told)})


def _photo(actor: Actor, asset_id: Any) -> Asset:
    try:
        asset = access_asset(actor, asset_id)
    except NotFound:
        asset = None
    if asset is None or asset.kind != AssetKind.IMAGE:
        raise invalid([FieldError("asset_id", "not_found", "There is no photo with this id in your workspace.")])
    return asset


def _framed(actor: Actor, asset: Asset, asked: ImageToVideo) -> tuple[Framing, dict[str, Any]]:
    """The framing, and as it is told. The row is read again where files that it named have gone since.

    Another mask was painted meanwhile, or the photo was deleted.
    """
    try:
        return _frame(asset, asked)
    except (FileNotFoundError, MediaError) as error:
        if not _is_gone(error):
            raise
        return _frame(_photo(actor, asset.id), asked)


def _is_gone(error: Exception) -> bool:
    return isinstance(error, FileNotFoundError) or isinstance(error.__cause__, FileNotFoundError)


def _frame(asset: Asset, asked: ImageToVideo) -> tuple[Framing, dict[str, Any]]:
    framing, (width, height) = preview_framing(asset, asked)
    x0, y0, x1, y1 = framing.window
    return framing, {
        "window": [x0 / width, y0 / height, x1 / width, y1 / height],
        "extended": framing.extended,
        "strength_scale": framing.strength_scale,
        "backdrop": backdrop_of(asset),
    }


def _notices(told: Sequence[Notice]) -> list[dict[str, str]]:
    return [{"code": notice.code, "message": notice.message} for notice in told]
