"""The requests of the page's scripts; every answer that is no file is JSON."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from mpnet_jax.demo import downloads, samples
from mpnet_jax.demo.jobs import Jobs
from mpnet_jax.demo.limits import RefusalError
from mpnet_jax.demo.opened import Opened, audible
from mpnet_jax.demo.pages import MOST_SOUNDS
from mpnet_jax.demo.separating import HEAT, PICTURE, planar
from mpnet_jax.demo.spectrograms import steps_of
from mpnet_jax.demo.store import DONE, FAILED, Record, Store, clean_name
from mpnet_jax.demo.uploads import Uploads

_TICK_S = 0.2
_SILENT_TICKS = 50  # After so many ticks without news, a comment keeps the connection of the events alive.
_LARGEST_JSON = 65_536


class Api:
    """Answers the scripts.

    Args:
        store: Where the results are.
        jobs: The queue.
        uploads: Receives videos.
        opened: The separations.
        stopping: Returns whether the server is about to stop, which ends the streams of events.
    """

    def __init__(
        self, store: Store, jobs: Jobs, uploads: Uploads, opened: Opened, stopping: Callable[[], bool]
    ) -> None:
        self._store, self._jobs, self._uploads = store, jobs, uploads
        self._opened, self._stopping = opened, stopping

    def _record(self, request: Request) -> Record:
        return self._store.get(request.path_params["id"])

    def _finished(self, request: Request) -> Record:
        record = self._record(request)
        if record.state != DONE:
            raise RefusalError(409, "The video is not separated yet.")
        return record

    async def upload(self, request: Request) -> Response:
        """PUT /api/videos?name=NAME&sounds=NUMBER: receives a video and puts it into the queue."""
        sounds = _sounds(request.query_params.get("sounds"))
        title = request.query_params.get("name", "")
        record = await self._uploads.receive(request, title=title, sounds=sounds)
        self._jobs.add(record)
        return JSONResponse({"id": record.id}, 201)

    async def sample(self, request: Request) -> Response:
        """POST /api/samples/NAME: puts a rendered scene into the queue."""
        name = request.path_params["name"]
        if name not in samples.SAMPLES:
            raise RefusalError(404, f"There is no such sample; there are {', '.join(samples.SAMPLES)}.")
        if (sentence := samples.missing()) is not None:
            raise RefusalError(422, sentence)
        record = self._store.add(f"{samples.SAMPLES[name].title}.mp4", sample=name, upload=None)
        self._jobs.add(record)
        return JSONResponse({"id": record.id}, 201)

    async def results(self, request: Request) -> Response:
        """GET /api/results: the list of results with their states."""
        del request
        return JSONResponse(
            [
                {"id": record.id, "title": record.title, "created": record.created, "seconds": record.seconds}
                | self._jobs.progress(record)
                for record in self._store.records()
            ]
        )

    async def result(self, request: Request) -> Response:
        """GET /api/results/ID: a result."""
        record = self._record(request)
        found = {"id": record.id, "title": record.title, "sounds": record.sounds, "names": record.names}
        found |= {"seconds": record.seconds, "facts": record.facts} | self._jobs.progress(record)
        return JSONResponse(found)

    async def events(self, request: Request) -> Response:
        """GET /api/results/ID/events: the progress as server-sent events; the last one has the state "done"."""
        record = self._record(request)

        async def stream() -> AsyncIterator[str]:
            last, silent = None, 0
            while not self._stopping():
                try:
                    news = self._jobs.progress(self._store.get(record.id))
                except RefusalError:
                    news = {"state": "deleted"}
                if news != last:
                    yield f"data: {json.dumps(news)}\n\n"
                    last, silent = news, 0
                if news["state"] in (DONE, FAILED, "deleted"):
                    return
                silent += 1
                if silent >= _SILENT_TICKS:
                    yield ": still here\n\n"
                    silent = 0
                await asyncio.sleep(_TICK_S)

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def again(self, request: Request) -> Response:
        """POST /api/results/ID/again {"sounds": NUMBER or null}: separates the same video with another number."""
        record = self._record(request)
        sounds = _sounds((await _json(request)).get("sounds"))
        video = self._store.path(record, "video")
        if not video.exists():
            raise RefusalError(409, "The video is no longer there; send it again.")
        new = await run_in_threadpool(self._store.add, record.title, sounds=sounds, upload=video)
        self._jobs.add(new)
        return JSONResponse({"id": new.id}, 201)

    async def rename(self, request: Request) -> Response:
        """PUT /api/results/ID/names {"NUMBER": "NAME"}: names sounds; an empty name is that of the classifier."""
        record = self._finished(request)
        names = await _json(request)
        for key, name in names.items():
            if key not in downloads.rows(record) or not isinstance(name, str):
                raise RefusalError(422, "Give the names of sounds of this result as text.")
        record.names |= {key: clean_name(name) for key, name in names.items()}
        await run_in_threadpool(self._store.save, record)
        return JSONResponse({"names": {key: downloads.shown_name(record, key) for key in names}})

    async def delete(self, request: Request) -> Response:
        """DELETE /api/results/ID: cancels and deletes."""
        await run_in_threadpool(self._jobs.remove, self._record(request))
        return Response(status_code=204)

    async def picture(self, request: Request) -> Response:
        """GET /api/results/ID/picture.mp4: the pictures."""
        return FileResponse(self._store.path(self._finished(request), PICTURE), media_type="video/mp4")

    async def heat(self, request: Request) -> Response:
        """GET /api/results/ID/heat: the heat maps, uint8 (sound, window, row, column)."""
        return FileResponse(self._store.path(self._finished(request), HEAT), media_type="application/octet-stream")

    async def sound(self, request: Request) -> Response:
        """GET /api/results/ID/sounds/ROW.wav: a sound; with ?download it is saved as a file."""
        record = self._finished(request)
        key = request.path_params["row"]
        path = self._store.path(record, "files", downloads.row(record, key)["file"])
        name = downloads.file_name(record, key)
        headers = {"Content-Disposition": downloads.attachment(name)} if "download" in request.query_params else None
        return FileResponse(path, media_type="audio/wav", headers=headers)

    async def zip(self, request: Request) -> Response:
        """GET /api/results/ID/sounds.zip?rows=1,residual: several sounds in a ZIP; all of them without `rows`."""
        record = self._finished(request)
        keys = request.query_params.get("rows", ",".join(downloads.rows(record))).split(",")
        files = [
            (self._store.path(record, "files", downloads.row(record, key)["file"]), downloads.file_name(record, key))
            for key in dict.fromkeys(keys)
        ]
        files.append((self._store.path(record, "files", "separation.json"), "separation.json"))
        name = downloads.attachment(f"{record.title.rpartition('.')[0] or record.title} sounds.zip")
        return StreamingResponse(
            iterate_in_threadpool(downloads.zipped(files)),
            media_type="application/zip",
            headers={"Content-Disposition": name},
        )

    async def place(self, request: Request) -> Response:
        """GET /api/results/ID/place?x=X&y=Y: the sound of a place, float32 (channels, samples)."""
        record, (x, y) = self._finished(request), _place(request)
        waveform = await run_in_threadpool(self._opened.ask, record, lambda found: found.sound_at(x, y))
        headers = {"X-Channels": str(waveform.shape[0])}
        return Response(planar(waveform), media_type="application/octet-stream", headers=headers)

    async def share(self, request: Request) -> Response:
        """GET /api/results/ID/share?x=X&y=Y: the fraction of each window that a place's mask takes."""
        record, (x, y) = self._finished(request), _place(request)
        shares = await run_in_threadpool(self._opened.ask, record, lambda found: found.share_at(x, y))
        return JSONResponse({"share": audible(shares)})

    async def steps(self, request: Request) -> Response:
        """GET /api/results/ID/steps?window=N: the recursion in a window; see `spectrograms.Steps`."""
        record = self._finished(request)
        text, windows = request.query_params.get("window", ""), len(record.facts["windows"])
        if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) < windows):
            raise RefusalError(422, f"Give a window from 0 to {windows - 1}.")
        steps = await run_in_threadpool(self._opened.ask, record, lambda found: steps_of(found, int(text)))
        headers = {"X-Shape": ",".join(map(str, steps.shape)), "X-Sounds": ",".join(map(str, steps.numbers))}
        return Response(steps.levels, media_type="application/octet-stream", headers=headers)


def _sounds(value: Any) -> int | None:
    """Returns a number of sounds; None for "as many as are found"."""
    if value in (None, ""):
        return None
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_SOUNDS):
        raise RefusalError(422, f"Give a number of sounds from 1 to {MOST_SOUNDS}, or none.")
    return int(text)


def _place(request: Request) -> tuple[float, float]:
    """Returns the place of a request in fractions of the picture."""
    try:
        x, y = (float(request.query_params.get(axis, "")) for axis in "xy")
    except ValueError:
        x = y = math.nan
    if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
        raise RefusalError(422, "That place is outside the picture; give fractions of it from 0 to 1 as x and y.")
    return x, y


async def _json(request: Request) -> dict[str, Any]:
    """Returns the body of a request as a JSON object."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LARGEST_JSON:
                raise RefusalError(413, "The request is too large.")
        value = json.loads(body or b"{}")
    except ClientDisconnect:
        raise RefusalError(400, "The request was broken off.") from None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RefusalError(422, "The request is no JSON object.")
    return value
