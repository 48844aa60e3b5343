"""Receives a video, which is streamed to the disk and then looked into."""

import asyncio
import errno
import shutil
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from data_pipeline.command import InputError
from data_pipeline.media import reader
from mpnet_jax.demo.limits import Limits, RefusalError
from mpnet_jax.demo.separating import too_long
from mpnet_jax.demo.store import Record, Store

_FULL = "There is not enough room on the disk; delete some results, or free some space."


class Uploads:
    """Receives videos.

    Args:
        store: Where they are kept.
        limits: The limits.
    """

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store, self._limits, self._now = store, limits, 0

    async def receive(self, request: Request, *, title: str, sounds: int | None) -> Record:
        """Receives the body of a request as a video.

        Args:
            request: The request.
            title: Name of the file.
            sounds: Number of sounds that was chosen.

        Raises:
            RefusalError: The video is too large, is none, or there is no room for it.
        """
        self._store.require_room()
        self._refuse_length(request.headers.get("content-length"))
        if self._now >= self._limits.uploads:
            raise RefusalError(429, "Too many videos are being sent; try again when one of them has arrived.")
        self._now += 1
        try:
            with self._store.incoming() as path:
                await self._stream(request, path)
                await run_in_threadpool(self._look_into, path)
                return await run_in_threadpool(self._store.add, title, sounds=sounds, upload=path)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise RefusalError(507, _FULL) from None
            raise
        finally:
            self._now -= 1

    def _refuse_length(self, length: str | None) -> None:
        stated = int(length) if length is not None and length.isascii() and length.isdigit() else 0
        if stated > self._limits.upload_bytes:
            raise RefusalError(413, self._too_large())
        if shutil.disk_usage(self._store.folder).free < stated + self._limits.free_bytes:
            raise RefusalError(507, _FULL)

    def _too_large(self) -> str:
        most = self._limits.upload_bytes / 1e6
        return f"The video is larger than {most:,.0f} MB; cut it, or start the demo with a larger --megabytes."

    async def _stream(self, request: Request, path: Path) -> None:
        """Writes the body to a file."""
        received = 0
        chunks = request.stream().__aiter__()
        with path.open("wb") as file:
            while True:
                try:
                    async with asyncio.timeout(self._limits.stalled_s):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    break
                except TimeoutError:
                    sentence = "The upload stalled and was dropped; send the video again."
                    raise RefusalError(408, sentence, close=True) from None
                except ClientDisconnect:
                    raise RefusalError(400, "The upload was broken off.") from None
                received += len(chunk)
                if received > self._limits.upload_bytes:
                    raise RefusalError(413, self._too_large(), close=True)
                file.write(chunk)
        if not received:
            raise RefusalError(422, "The file is empty; choose a video.")

    def _look_into(self, path: Path) -> None:
        """Raises RefusalError if the file is no video with sound, or too long."""
        try:
            header = reader.probe(path)
        except InputError as error:
            raise RefusalError(422, "This is no video that can be read; choose another file.") from error
        if not header.has_video:
            raise RefusalError(422, "The file has no pictures, and sounds are separated by what is seen; take a video.")
        if not header.has_audio:
            raise RefusalError(422, "The video has no sound; choose one with sound.")
        if header.duration_s is not None and header.duration_s > self._limits.seconds:
            raise RefusalError(422, too_long(header.duration_s, self._limits))
