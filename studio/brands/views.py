"""Endpoints of brands and of the products that they sell."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from studio.api.pagination import PAGE_PARAMETERS, page_of
from studio.api.problems import FieldError, invalid
from studio.api.views import WorkspaceView
from studio.brands import serializers, services
from studio.brands.access import access_brand, access_product
from studio.brands.models import Brand
from studio.brands.selectors import list_brands, list_products
from studio.workspaces.access import Actor, NotFound


class BrandListView(WorkspaceView):
    """Brands of the workspace."""

    @extend_schema(operation_id="brands_list", parameters=PAGE_PARAMETERS, responses=serializers.BrandPageSerializer)
    def get(self, request: Request) -> Response:
        """List brands, newest first."""
        rows, following = page_of(list_brands(self.actor), request)
        return Response({"results": serializers.BrandSerializer(rows, many=True).data, "next": following})

    @extend_schema(
        operation_id="brands_create",
        request=serializers.NewBrandSerializer,
        responses={201: serializers.BrandSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make a brand."""
        asked = _checked(serializers.NewBrandSerializer(data=request.data))
        brand = services.create_brand(self.actor, asked["name"], asked.get("colours", []))
        headers = {"Location": f"/api/v1/brands/{brand.id}"}
        return Response(serializers.BrandSerializer(brand).data, status=201, headers=headers)


class BrandView(WorkspaceView):
    """One brand."""

    @extend_schema(operation_id="brands_read", responses={200: serializers.BrandSerializer})
    def get(self, request: Request, brand_id: UUID) -> Response:
        """Read a brand."""
        return Response(serializers.BrandSerializer(access_brand(self.actor, brand_id)).data)

    @extend_schema(
        operation_id="brands_change",
        request=serializers.BrandChangeSerializer,
        responses={200: serializers.BrandSerializer},
    )
    def patch(self, request: Request, brand_id: UUID) -> Response:
        """Rename a brand or change its colours. What is left out stays."""
        brand = access_brand(self.actor, brand_id, role="editor")
        asked = _checked(serializers.BrandChangeSerializer(data=request.data))
        return Response(serializers.BrandSerializer(services.change(brand, asked)).data)


class ProductListView(WorkspaceView):
    """Products of the workspace."""

    @extend_schema(
        operation_id="products_list",
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("brand_id", UUID, description="Only this brand's.")],
        responses=serializers.ProductPageSerializer,
    )
    def get(self, request: Request) -> Response:
        """List products, newest first."""
        brand_id = request.query_params.get("brand_id")
        brand = None if brand_id is None else _brand(self.actor, brand_id)
        rows, following = page_of(list_products(self.actor, brand=brand), request)
        return Response({"results": serializers.ProductSerializer(rows, many=True).data, "next": following})

    @extend_schema(
        operation_id="products_create",
        request=serializers.NewProductSerializer,
        responses={201: serializers.ProductSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make a product of a brand. Its id is what an upload takes as `product_id`."""
        asked = _checked(serializers.NewProductSerializer(data=request.data))
        brand = _brand(self.actor, asked["brand_id"])
        product = services.create_product(self.actor, brand, asked["name"], asked.get("facts", {}))
        headers = {"Location": f"/api/v1/products/{product.id}"}
        return Response(serializers.ProductSerializer(product).data, status=201, headers=headers)


class ProductView(WorkspaceView):
    """One product."""

    @extend_schema(operation_id="products_read", responses={200: serializers.ProductSerializer})
    def get(self, request: Request, product_id: UUID) -> Response:
        """Read a product."""
        return Response(serializers.ProductSerializer(access_product(self.actor, product_id)).data)

    @extend_schema(
        operation_id="products_change",
        request=serializers.ProductChangeSerializer,
        responses={200: serializers.ProductSerializer},
    )
    def patch(self, request: Request, product_id: UUID) -> Response:
        """Rename a product or replace its facts. What is left out stays."""
        product = access_product(self.actor, product_id, role="editor")
        asked = _checked(serializers.ProductChangeSerializer(data=request.data))
        return Response(serializers.ProductSerializer(services.change(product, asked)).data)


def _checked(form: Any) -> dict[str, Any]:
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


def _brand(actor: Actor, brand_id: UUID | str) -> Brand:
    try:
        return access_brand(actor, brand_id)
    except NotFound as error:
        raise invalid([FieldError("brand_id", "not_found", "There is no brand with this id.")]) from error
