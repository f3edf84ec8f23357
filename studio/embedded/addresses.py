"""Under which address the studio is reached, and where the running one is written down for the other commands."""

import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from django.conf import settings

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
LOCAL = ("127.0.0.1", "::1", "localhost")


def reachable(host: str) -> str:
    """What to connect to on this machine when the studio listens on `host`."""
    return EVERYWHERE.get(host, host)


def in_address(host: str) -> str:
    """A host as an address and its Host header name it: IPv6 in brackets, without the zone that counts here alone."""
    return f"[{host.partition('%')[0]}]" if ":" in host else host


def local_address(host: str, port: int) -> str:
    return f"http://{in_address(reachable(host))}:{port}"


def public_address(host: str, port: int, *, https: bool, names: list[str]) -> str:
    """What to tell people: behind TLS the first of `names` that is not this machine's own, else where it listens.

    names: hosts or origins, most important first.
    """
    if https:
        hosts = [urlsplit(name).netloc if "://" in name else name for name in names]
        public = [name for name in hosts if name not in (*LOCAL, "[::1]") and not name.startswith((".", "*"))]
        return f"https://{(public or ['localhost'])[0]}"
    if host in EVERYWHERE:
        cards = network_addresses()
        return local_address(cards[0] if cards else host, port)
    return local_address(host, port)


def network_addresses() -> list[str]:
    """This machine's IPv4 addresses that others may reach, of cards that are up."""
    up = {name for name, card in psutil.net_if_stats().items() if card.isup}
    found = [card.address for name, cards in psutil.net_if_addrs().items() if name in up for card in cards
             if card.family == socket.AF_INET]  # fmt: skip
    return [address for address in found if not address.startswith(("127.", "169.254."))]


def write_address(data_dir: Path, address: str) -> None:
    (data_dir / "run" / "address.json").write_text(json.dumps({"address": address}))


def read_address(data_dir: Path) -> str | None:
    """Where the running studio answers, or None when none runs."""
    try:
        return str(json.loads((data_dir / "run" / "address.json").read_text())["address"])
    except (OSError, ValueError, KeyError):
        return None


def sign_in_url(token: str) -> str:
    """For the shell: with the address of the studio that runs here, else only the path, for an address of your own."""
    return f"{read_address(settings.AQ_DATA_DIR) or ''}/sign-in/{token}"
