"""The web process: uvicorn on a socket that the supervisor has opened, so that a restart refuses no connection.

Whom a proxy asks for (`X-Forwarded-For`), uvicorn believes of this machine, or of the addresses in FORWARDED_ALLOW_IPS.
"""

import argparse
import socket

import uvicorn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="number of the inherited listening socket")
    listener = socket.socket(fileno=parser.parse_args().fd)
    config = uvicorn.Config(
        "studio.asgi:application",
        lifespan="off",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        ws_ping_interval=20,
        ws_ping_timeout=20,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
