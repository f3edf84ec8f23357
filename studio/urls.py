"""Every HTTP path that Django answers. `/media/...` and the page's files are answered beside it, in `studio.asgi`."""

from django.urls import include, path, re_path

from studio import pages
from studio.accounts.views import sign_in

urlpatterns = [
    path("api/v1/", include("studio.api.urls")),
    path("sign-in/<str:token>", sign_in, name="sign-in"),
    re_path(r"^(?!api/|media/|ws/).*$", pages.index, name="page"),
]

handler400 = "studio.pages.refused"
handler404 = "studio.pages.not_found"
handler500 = "studio.pages.broken"
