"""Checks from where a request comes, and adds the headers that restrict what the page may do."""

import ipaddress
import secrets
import socket
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE = ("GET", "HEAD")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def host_names(listening: str) -> tuple[frozenset[str], bool]:
    """Returns which names of hosts are answered, and whether every address in digits is answered as well.

    A page of another site can make its own name point to this machine, but it then still sends its own name. So a
    server on the loopback answers to the names of the loopback alone, whatever the port (it may be forwarded); one that
    was told to listen elsewhere answers also to its own name and to addresses.

    Args:
        listening: The address on which the server listens.
    """
    names = {"localhost", "127.0.0.1", "[::1]", listening.lower()}
    try:
        if ipaddress.ip_address(listening).is_loopback:
            return frozenset(names), False
    except ValueError:
        if listening.lower() == "localhost":
            return frozenset(names), False
    return frozenset(names | {socket.gethostname().lower()}), True


def refusal(headers: Headers, method: str, *, names: Iterable[str], addresses: bool) -> str | None:
    """Returns why a request is refused, or None.

    Args:
        headers: The request's headers.
        method: The request's method.
        names: Names of hosts that are answered.
        addresses: Whether every address is answered.
    """
    hosts = headers.getlist("host")
    host = hosts[0].lower() if len(hosts) == 1 else ""
    name = _name(host)
    if name not in names and not (addresses and _is_address(name)):
        return "This server does not answer to that host name; use the address that it printed."
    origins = headers.getlist("origin")
    own = len(origins) == 1 and origins[0].lower() == f"http://{host}"
    if origins and not own:
        return "Pages of other sites cannot use this server."
    if method not in _SAFE and not own:
        return "A request that changes something has to come from the page of this server."
    site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode")
    if site not in ("same-origin", "none") and (mode != "navigate" or method not in _SAFE):
        return "Pages of other sites cannot use this server."
    return None


def _name(host: str) -> str:
    """Returns a host without its port; empty if the port is no number."""
    name, colon, port = host.rpartition(":")
    if not colon or (host.startswith("[") and host.endswith("]")):
        return host
    return name if port.isascii() and port.isdigit() else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class Guard:
    """Middleware that refuses foreign requests and restricts the page; `scope["nonce"]` is that of its styles.

    Args:
        app: The application.
        listening: See `host_names`.
    """

    def __init__(self, app: ASGIApp, listening: str) -> None:
        self._app = app
        self._names, self._addresses = host_names(listening)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers or passes a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        nonce = scope["nonce"] = secrets.token_urlsafe(16)

        async def restricted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY.format(nonce=nonce)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        reason = refusal(Headers(scope=scope), scope["method"], names=self._names, addresses=self._addresses)
        app = self._app if reason is None else JSONResponse({"error": reason}, 403)
        await app(scope, receive, restricted)
