"""Ports for tests that start servers."""

import socket


def free_port() -> int:
    """Returns a port of this machine that no server listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
