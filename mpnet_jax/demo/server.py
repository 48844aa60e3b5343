"""The application and its server."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from data_pipeline.command import InputError
from mpnet_jax import report
from mpnet_jax.demo.api import Api
from mpnet_jax.demo.guard import Guard
from mpnet_jax.demo.jobs import Jobs
from mpnet_jax.demo.library import Library
from mpnet_jax.demo.limits import Limits, RefusalError
from mpnet_jax.demo.opened import Opened
from mpnet_jax.demo.pages import Pages
from mpnet_jax.demo.separating import Separating
from mpnet_jax.demo.store import Store
from mpnet_jax.demo.uploads import Uploads

_HERE = Path(__file__).parent
_SECONDS_TO_STOP = 5
_ERRORS = {404: "There is no such page.", 405: "That cannot be done with this address."}
_Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    store: Store,
    library: Library,
    *,
    limits: Limits,
    listening: str = "127.0.0.1",
    stopping: Callable[[], bool] = lambda: False,
) -> Starlette:
    """Returns the application; its lifespan starts and stops the thread that separates.

    Args:
        store: Where the results are.
        library: The networks.
        limits: The limits.
        listening: Address on which the server listens.
        stopping: Returns whether the server is about to stop.
    """
    opened, pages = Opened(store, library), Pages(store, limits)
    jobs = Jobs(store, Separating(store, library, limits), opened.forget)
    api = Api(store, jobs, Uploads(store, limits), opened, stopping)

    async def home(request: Request) -> Response:
        return pages.home(request)

    async def result(request: Request) -> Response:
        return pages.result(request, store.get(request.path_params["id"]))

    async def style(request: Request) -> Response:
        return FileResponse(Path(report.__file__).parent / Path(request.url.path).name, media_type="text/css")

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, RefusalError):
            status, sentence = error.status, error.sentence
        elif isinstance(error, HTTPException):
            status, sentence = error.status_code, _ERRORS.get(error.status_code, "The request cannot be answered.")
        elif isinstance(error, InputError):  # A saved separation that cannot be read.
            status, sentence = 409, f"The saved separation cannot be used: {error}"
        else:
            status, sentence = 500, "An unexpected error, which the server's terminal shows."
        if request.url.path.startswith("/api/"):
            headers = {"Connection": "close"} if getattr(error, "close", False) else None
            return JSONResponse({"error": sentence}, status, headers=headers)
        return pages.error(request, status, sentence)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        jobs.start()
        try:
            yield
        finally:
            await asyncio.to_thread(jobs.stop)
            opened.close()

    routes = [
        Route("/", home),
        Route("/results/{id}", result),
        *(Route(f"/static/{name}", style) for name in ("report.css", "mixer.css")),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
        *(Route(f"/api/{path}", handler, methods=[method]) for method, path, handler in _table(api)),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, listening=listening)],
        exception_handlers=dict.fromkeys((RefusalError, HTTPException, InputError, 500), refused),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # There is one address for each thing.
    return app


def _table(api: Api) -> tuple[tuple[str, str, _Handler], ...]:
    """Returns the method, the path and the handler of each request of the scripts."""
    return (
        ("PUT", "videos", api.upload),
        ("POST", "samples/{name}", api.sample),
        ("GET", "results", api.results),
        ("GET", "results/{id}", api.result),
        ("DELETE", "results/{id}", api.delete),
        ("GET", "results/{id}/events", api.events),
        ("POST", "results/{id}/again", api.again),
        ("PUT", "results/{id}/names", api.rename),
        ("GET", "results/{id}/picture.mp4", api.picture),
        ("GET", "results/{id}/heat", api.heat),
        ("GET", "results/{id}/sounds/{row}.wav", api.sound),
        ("GET", "results/{id}/sounds.zip", api.zip),
        ("GET", "results/{id}/place", api.place),
        ("GET", "results/{id}/share", api.share),
        ("GET", "results/{id}/steps", api.steps),
    )


def listen(host: str, port: int) -> socket.socket:
    """Opens the port.

    Args:
        host: Address or name.
        port: Number of the port; 0 takes any that is free.

    Raises:
        InputError: The port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"--port={port} is taken by another program; name another port, or 0 for any") from None
        reason = error.strerror or str(error)
        raise InputError(f"--host={host} --port={port} cannot be listened on: {reason}; name others") from None


class Server(uvicorn.Server):
    """The server of an application whose streams of events end when the server stops.

    Args:
        make_app: Returns the application; its argument is a function that returns whether the server is about to stop.
    """

    def __init__(self, make_app: Callable[[Callable[[], bool]], Starlette]) -> None:
        super().__init__(
            uvicorn.Config(
                make_app(lambda: self.should_exit),
                http="h11",
                ws="none",
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=_SECONDS_TO_STOP,
                lifespan="on",
            )
        )


def serve(
    folder: Path, library: Library, *, host: str, port: int, limits: Limits, ready: Callable[[str], object]
) -> None:
    """Serves the page until the process is told to stop.

    Args:
        folder: Where results are kept.
        library: The networks.
        host: Address to listen on.
        port: Port to listen on; 0 for any.
        limits: The limits.
        ready: Called with the address of the page.

    Raises:
        InputError: The folder or the port cannot be used.
    """
    with listen(host, port) as sock, contextlib.closing(Store(folder, most=limits.results)) as store:
        server = Server(lambda stopping: create_app(store, library, limits=limits, listening=host, stopping=stopping))
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{sock.getsockname()[1]}/"
        ready(address)
        server.run(sockets=[sock])
