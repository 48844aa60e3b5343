"""The pages: the list of results, a result, and errors. All text is escaped by the templates."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse

from mpnet_jax.demo import samples
from mpnet_jax.demo.limits import Limits
from mpnet_jax.demo.recipes import command_line, python_lines
from mpnet_jax.demo.store import Record, Store

MOST_SOUNDS = 8
_TITLES: Mapping[int, str] = {403: "Not allowed", 404: "Not found", 405: "Not possible", 500: "An error"}


class Pages:
    """Renders the pages.

    Args:
        store: Where the results are.
        limits: The limits.
    """

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store, self._limits = store, limits
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates", encoding="utf-8"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"age": age, "clock": clock}

    def _render(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        text = self._templates.get_template(template).render(nonce=request.scope.get("nonce", ""), **values)
        return HTMLResponse(text.encode("utf-8", "replace"), status)

    def home(self, request: Request) -> HTMLResponse:
        """Returns the page with the upload and the results."""
        return self._render(
            request,
            "home.html",
            records=self._store.records(),
            samples=samples.SAMPLES,
            samples_missing=samples.missing(),
            limits=self._limits,
            most_sounds=MOST_SOUNDS,
        )

    def result(self, request: Request, record: Record) -> HTMLResponse:
        """Returns the page of a result, which also shows its progress."""
        return self._render(
            request,
            "result.html",
            record=record,
            most_sounds=MOST_SOUNDS,
            command=command_line(record),
            python=python_lines(record),
        )

    def error(self, request: Request, status: int, sentence: str) -> HTMLResponse:
        """Returns a page with one sentence."""
        title = _TITLES.get(status, "Not possible")
        return self._render(request, "error.html", status, title=title, sentence=sentence)


def age(created: float) -> str:
    """Returns how long ago something was, in words."""
    minutes = max(0.0, time.time() - created) / 60
    for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
        if (count := int(minutes // size)) > 0:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def clock(seconds: float) -> str:
    """Returns a duration as minutes and seconds."""
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
