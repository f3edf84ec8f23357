"""Endpoints of assets."""

from pathlib import Path
from typing import Any, cast
from uuid import UUID

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import HttpRequest
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from studio.api.pagination import PAGE_PARAMETERS, page_of
from studio.api.parsers import ImageParser
from studio.api.problems import FieldError, Problem, invalid
from studio.api.views import WorkspaceView
from studio.assets import services
from studio.assets.access import access_asset
from studio.assets.files import draft_folder
from studio.assets.models import Asset, AssetKind
from studio.assets.selectors import list_assets
from studio.assets.serializers import AssetPageSerializer, AssetSerializer, UploadSerializer
from studio.brands.access import access_product
from studio.brands.models import Product
from studio.workspaces.access import Actor, NotFound

COPY_BYTES = 1024 * 1024


class AssetListView(WorkspaceView):
    """Photos that were uploaded and videos that were made."""

    parser_classes = [MultiPartParser]

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        if request.method == "POST":
            request.upload_handlers = [TemporaryFileUploadHandler(request)]  # a file on disk, whatever its size
        return super().initialize_request(request, *args, **kwargs)

    @extend_schema(
        operation_id="assets_list",
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("kind", enum=AssetKind.values)],
        responses=AssetPageSerializer,
    )
    def get(self, request: Request) -> Response:
        """List assets, newest first."""
        kind = request.query_params.get("kind")
        if kind is not None and kind not in AssetKind.values:
            raise invalid([FieldError("kind", "invalid_choice", f"Choose one of {', '.join(AssetKind.values)}.")])
        rows, following = page_of(list_assets(self.actor, kind=kind), request)
        return Response({"results": AssetSerializer(rows, many=True).data, "next": following})

    @extend_schema(
        operation_id="assets_upload",
        request={"multipart/form-data": UploadSerializer},
        responses={201: AssetSerializer},
    )
    def post(self, request: Request) -> Response:
        """Upload a photo. It is re-encoded without metadata, and the search for its product begins."""
        self.actor.require("editor")
        form = UploadSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        upload: TemporaryUploadedFile = form.validated_data["file"]
        product = _product(self.actor, form.validated_data.get("product_id"))
        path = Path(upload.temporary_file_path())
        asset = services.add_photo(self.actor, path, upload.name or "", product)
        headers = {"Location": f"/api/v1/assets/{asset.id}"}
        return Response(AssetSerializer(asset).data, status=201, headers=headers)


class AssetView(WorkspaceView):
    """One asset."""

    @extend_schema(operation_id="assets_read", responses={200: AssetSerializer})
    def get(self, request: Request, asset_id: UUID) -> Response:
        """Read an asset, with fresh signed URLs."""
        return Response(AssetSerializer(access_asset(self.actor, asset_id)).data)

    @extend_schema(operation_id="assets_delete", responses={204: None})
    def delete(self, request: Request, asset_id: UUID) -> Response:
        """Delete an asset and its files. Refused while a job that has not ended needs it."""
        asset = access_asset(self.actor, asset_id, role="editor")
        try:
            services.delete_asset(asset)
        except services.AssetInUse as error:
            raise Problem(409, "asset_in_use", str(error)) from error
        return Response(status=204)


class MaskView(WorkspaceView):
    """The product mask of a photo."""

    parser_classes = [ImageParser]

    @extend_schema(
        operation_id="assets_mask_paint", request={"image/png": OpenApiTypes.BINARY}, responses=AssetSerializer
    )
    def put(self, request: Request, asset_id: UUID) -> Response:
        """Replace the mask by a painted one: gray, white is product, in the photo's proportions."""
        asset = _photo(self.actor, asset_id)
        body = cast(dict[str, Any], request.data).get("file")
        if body is None:
            raise invalid([FieldError("body", "required", "Send the mask as the body of the request.")])
        with draft_folder() as draft:
            path = draft / "upload"
            _copy(body, path)
            painted = services.paint_mask(asset, path)
        return Response(AssetSerializer(painted).data)

    @extend_schema(operation_id="assets_mask_reset", responses={200: AssetSerializer})
    def delete(self, request: Request, asset_id: UUID) -> Response:
        """Go back to the automatic mask, or to the photo's transparency."""
        asset = services.reset_mask(_photo(self.actor, asset_id))
        return Response(AssetSerializer(asset).data)


def _photo(actor: Actor, asset_id: UUID) -> Asset:
    asset = access_asset(actor, asset_id, role="editor")
    if asset.kind != AssetKind.IMAGE:
        raise Problem(409, "not_a_photo", "Only a photo has a product mask; this asset is a video.")
    return asset


def _product(actor: Actor, product_id: UUID | None) -> Product | None:
    if product_id is None:
        return None
    try:
        return access_product(actor, product_id)
    except NotFound as error:
        raise invalid([FieldError("product_id", "not_found", "There is no product with this id.")]) from error


def _copy(stream: Any, path: Path) -> None:
    with path.open("wb") as file:
        while piece := stream.read(COPY_BYTES):
            file.write(piece)
