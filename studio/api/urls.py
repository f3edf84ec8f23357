"""Every address below /api/v1/."""

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView

from studio.api import job_views, keys, members, sessions
from studio.api.problems import unknown_path
from studio.assets import views as assets
from studio.brands import views as brands
from studio.generations import views as generations
from studio.registry import views as registry

urlpatterns = [
    path("session", sessions.SessionView.as_view()),
    path("tickets", sessions.TicketsView.as_view()),
    path("api-keys", keys.KeyListView.as_view()),
    path("api-keys/<uuid:key_id>", keys.KeyView.as_view()),
    path("members", members.MemberListView.as_view()),
    path("members/<uuid:member_id>", members.MemberView.as_view()),
    path("brands", brands.BrandListView.as_view()),
    path("brands/<uuid:brand_id>", brands.BrandView.as_view()),
    path("products", brands.ProductListView.as_view()),
    path("products/<uuid:product_id>", brands.ProductView.as_view()),
    path("assets", assets.AssetListView.as_view()),
    path("assets/<uuid:asset_id>", assets.AssetView.as_view()),
    path("assets/<uuid:asset_id>/mask", assets.MaskView.as_view()),
    path("framings", generations.FramingsView.as_view()),
    path("models", registry.ModelListView.as_view()),
    path("jobs", job_views.JobListView.as_view()),
    path("jobs/<uuid:job_id>", job_views.JobView.as_view()),
    path("jobs/<uuid:job_id>/cancel", job_views.CancelView.as_view()),
    path("jobs/<uuid:job_id>/events", job_views.EventsView.as_view()),
    path("schema", SpectacularAPIView.as_view(authentication_classes=[])),
    re_path(r"^.*$", unknown_path),
]
