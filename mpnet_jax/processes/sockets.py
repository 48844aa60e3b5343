"""Sockets as `lifeline` uses them: listening, connecting with patience, and carrying bytes from one to another."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

ANSWER_SECONDS = 30.0  # for a connection to be made or answered
_CHUNK_BYTES = 1 << 16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def listen_on(host: str, port: int) -> socket.socket:
    """Listens on a port: of this machine alone where the host's name says so, else on all its addresses."""
    if host in _LOOPBACK:
        return socket.create_server(("127.0.0.1", port))
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def connect(address: tuple[str, int], seconds: float) -> socket.socket:
    """Connects, again and again for some seconds.

    Raises:
        OSError: nobody listens there.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(address, timeout=ANSWER_SECONDS)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def first_line(connection: socket.socket) -> str:
    """The first line, read byte by byte, because what follows it is not for us."""
    line = b""
    while len(line) < 200 and (byte := connection.recv(1)) not in (b"", b"\n"):
        line += byte
    return line.decode(errors="replace")


def relay(one: socket.socket, other: socket.socket) -> None:
    """Carries bytes both ways. Neither side hears that the other is gone: the line tells, and tells why."""
    for source, sink in ((one, other), (other, one)):
        source.settimeout(None)
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        in_background(_pump, source, sink)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            sink.sendall(data)


def in_background(function: Callable[..., None], *arguments: object) -> None:
    """Calls a function in a thread that no one waits for."""
    threading.Thread(target=function, args=arguments, daemon=True, name=f"lifeline {function.__name__}").start()
