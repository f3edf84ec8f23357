"""Reads the process environment, for `studio.settings` alone."""

import os
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from engine.axes import MeshShape


def text(name: str, default: str) -> str:
    return os.environ.get(name, "") or default


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def origins(name: str, *, https: bool) -> list[str]:
    """Origins with a scheme, as Django wants them. A bare name stands for https, and without TLS for http as well."""
    return [origin for word in words(name) for origin in _origins_of(name, word, https=https)]


def _origins_of(name: str, word: str, *, https: bool) -> list[str]:
    scheme, _, host = word.rpartition("://")
    if scheme not in {"", "http", "https"} or not re.fullmatch(r"(\*\.)?[\w.-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?", host):
        raise ImproperlyConfigured(
            f"{name}: {word!r} should be a name as studio.example.com, or an origin as https://studio.example.com:8443."
        )
    schemes = [scheme] if scheme else ["https"] if https else ["https", "http"]
    return [f"{one}://{host}" for one in schemes]


def flag(name: str, default: bool = False) -> bool:
    value = text(name, "1" if default else "0").lower()
    if value not in {"0", "1", "true", "false", "yes", "no"}:
        raise ImproperlyConfigured(f"{name}={value!r} should be 1 or 0.")
    return value in {"1", "true", "yes"}


def number(name: str, default: int) -> int:
    value = text(name, str(default))
    if not value.isdigit():
        raise ImproperlyConfigured(f"{name}={value!r} should be a whole number.")
    return int(value)


def share(name: str) -> float:
    """From 0, the default, up to 1."""
    value = text(name, "0")
    if not re.fullmatch(r"0?\.\d+|[01](\.0*)?", value):
        raise ImproperlyConfigured(f"{name}={value!r} should be a share, as 0.05.")
    return float(value)


def mesh(name: str) -> dict[str, int]:
    """Ranks on each axis of a mesh, as `cfg=2,ulysses=2`; empty where nothing is said."""
    said = text(name, "")
    try:
        return {axis: ranks for axis, ranks in vars(MeshShape.read(said)).items() if ranks > 1} if said else {}
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def database(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for a `postgresql://user:password@host:port/name?option=value` URL."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise ImproperlyConfigured("DATABASE_URL should look like postgresql://user:password@host:5432/name.")
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": options.pop("port", str(parts.port or "")),
        "OPTIONS": options,
    }


def secret_key(data_dir: Path, *, embedded: bool) -> str:
    """AQ_SECRET_KEY, or for the embedded studio a key made once and kept in the data folder."""
    given = os.environ.get("AQ_SECRET_KEY", "")
    if given:
        return given
    if not embedded:
        raise ImproperlyConfigured("Set AQ_SECRET_KEY: with DATABASE_URL the studio does not make its own key.")
    try:
        return _kept_key(data_dir)
    except OSError as error:
        raise ImproperlyConfigured(
            f"The data folder {data_dir} cannot be used: {error.strerror} ({error.filename}). Start the studio under "
            "the login that the folder belongs to, or choose another folder with AQ_DATA_DIR."
        ) from error


def _kept_key(data_dir: Path) -> str:
    path = data_dir / "secret_key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        draft = data_dir / f"secret_key.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        try:
            os.link(draft, path)  # the first of several processes wins; the others read its key
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()
