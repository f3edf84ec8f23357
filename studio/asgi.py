"""The web process: Django for pages and API, and beside it the media route, the page's files and the live feed."""

import os
from typing import cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studio.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()  # first: it fills the app registry that the rooms below need

from channels.routing import ProtocolTypeRouter
from django.conf import settings

from studio.api.limits import BodyLimit
from studio.assets.serve import application as media_application
from studio.headers import App, Receive, Scope, Send, secure_headers
from studio.jobs.routing import websocket_application
from studio.static import static_files

page_application = static_files(settings.AQ_FRONTEND_DIR, otherwise=cast(App, django_application))


async def http_application(scope: Scope, receive: Receive, send: Send) -> None:
    chosen = media_application if scope["path"].startswith("/media/") else page_application
    await chosen(scope, receive, send)


application = ProtocolTypeRouter(
    {
        "http": secure_headers(BodyLimit(http_application)),
        "websocket": websocket_application,
    }
)
