"""Django's settings, and the studio's own under `AQ_`. The studio reads its environment here and nowhere else.

What `make run` takes (HOST, PORT, TORCH_INDEX) is of `embedded/bootstrap.py`, FORWARDED_ALLOW_IPS of uvicorn.
"""

from pathlib import Path

from studio import environment as env
from studio.embedded import places

BASE_DIR = Path(__file__).resolve().parent.parent

# --- the studio's own -------------------------------------------------------------------------------------------------
AQ_DATA_DIR = Path(env.text("AQ_DATA_DIR", str(BASE_DIR / "var"))).resolve()
AQ_EMBEDDED = env.text("DATABASE_URL", "") == ""  # PostgreSQL is ours to start, in AQ_DATA_DIR
AQ_DATABASE_URL = env.text("DATABASE_URL", places.database_url(AQ_DATA_DIR))
AQ_BROKER_URL = env.text("AQ_BROKER_URL", "")  # empty: the database's own server, see studio/celery.py
AQ_MEDIA_DIR = Path(env.text("AQ_MEDIA_DIR", str(AQ_DATA_DIR / "media"))).resolve()
AQ_BUNDLE = Path(env.text("AQ_BUNDLE", str(BASE_DIR / "engine" / "bundled" / "aquarius-nano"))).resolve()
AQ_ENGINE_MESH = env.mesh("AQ_ENGINE_MESH")  # of processes that share a denoising; empty: the worker denoises itself
AQ_ENGINE_CACHE = env.share("AQ_ENGINE_CACHE")  # error that a diffusion cache may cost; 0: none, every step is computed
AQ_FRONTEND_DIR = Path(env.text("AQ_FRONTEND_DIR", str(BASE_DIR / "frontend" / "dist"))).resolve()
AQ_LEASE_SECONDS = env.number("AQ_LEASE_SECONDS", 30)
AQ_RUN_SECONDS = env.number("AQ_RUN_SECONDS", 3600)  # a job that runs longer hangs: its worker is ended
AQ_HEARTBEAT_SECONDS = env.number("AQ_HEARTBEAT_SECONDS", 5)
AQ_MAX_UPLOAD_BYTES = env.number("AQ_MAX_UPLOAD_BYTES", 64 * 1024 * 1024)
AQ_SIGN_IN_LINK_SECONDS = env.number("AQ_SIGN_IN_LINK_SECONDS", 24 * 3600)

# --- Django -----------------------------------------------------------------------------------------------------------
DEBUG = env.flag("AQ_DEBUG")
SECRET_KEY = env.secret_key(AQ_DATA_DIR, embedded=AQ_EMBEDDED)
ALLOWED_HOSTS = env.words("AQ_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
AQ_HTTPS = env.flag("AQ_HTTPS")  # the studio is reached through https: cookies are Secure, plain http is redirected
CSRF_TRUSTED_ORIGINS = env.origins("AQ_TRUSTED_ORIGINS", https=AQ_HTTPS)

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "rest_framework",
    "drf_spectacular",
    "studio.embedded",
    "studio.accounts",
    "studio.workspaces",
    "studio.brands",
    "studio.jobs",
    "studio.registry",
    "studio.assets",
    "studio.generations",
    "studio.api",
]

MIDDLEWARE = [
    "studio.api.lengths.body_length",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "studio.pages.DatabaseAway",
]

ROOT_URLCONF = "studio.urls"
ASGI_APPLICATION = "studio.asgi.application"
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [BASE_DIR / "studio" / "templates"]},
]

DATABASES = {"default": env.database(AQ_DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- browsers ---------------------------------------------------------------------------------------------------------
SESSION_ENGINE = "studio.accounts.sessions"
# Cookies do not tell ports apart: two studios on one machine would sign each other's people out.
SESSION_COOKIE_NAME = f"aq_session_{places.mark(AQ_DATA_DIR)}" if AQ_EMBEDDED else "aq_session"
SESSION_COOKIE_AGE = 30 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = AQ_HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = AQ_HTTPS
SECURE_SSL_REDIRECT = AQ_HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if AQ_HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if AQ_HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"

# Uploads are streamed to disk in 1 MB pieces; JSON bodies stay small.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_PERMISSIONS = 0o600

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "studio.api.authentication.KeyAuthentication",
        "studio.api.authentication.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],  # `WorkspaceView` asks who it is
    "DEFAULT_PARSER_CLASSES": ["studio.api.parsers.StorableJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "studio.api.schema.Schema",
    "EXCEPTION_HANDLER": "studio.api.problems.exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Aquarius Studio",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "DESCRIPTION": "Upload a product photo, ask for a video, follow the job, download the result.",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "studio.api.schema.add_settings_of_kinds",
    ],
}

LANGUAGE_CODE = "en"
USE_TZ = True
TIME_ZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.text("AQ_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},  # a traceback for each request of each scanner
    },
}
