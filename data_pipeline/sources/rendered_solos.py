"""Renders folders of solos, which serve as a source of videos, and resumes interrupted ones.

Layout: `<folder>/<class>/<class>_<nnn>.mp4` and a `.json` of the same name for each video, and
`<folder>/rendered_solos.json`, which records the parameters of all solos of the folder.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import multiprocessing
import pathlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from data_pipeline.atomic import atomic_file
from data_pipeline.command import InputError
from data_pipeline.rendered import solo
from data_pipeline.rendered.drawing import animation
from data_pipeline.rendered.drawing.look import AREA
from data_pipeline.rendered.pictures.choice import PictureChoice
from data_pipeline.rendered.sound.compose import MIN_SECONDS
from data_pipeline.rendered.sound.instruments import CLASSES
from data_pipeline.rendered.sound.synthesise import Renderer
from data_pipeline.rendered.variety import choose_variety

RECORD_NAME = "rendered_solos.json"
# Increased with every change that leads to other sounds, notes or frames for the same seed.
FORMAT_VERSION = 1
_MOST_SOLOS = 1000


@dataclasses.dataclass(frozen=True)
class SoloSet:
    """A set of solos to render.

    Attributes:
        folder: Folder to write to.
        solos_per_instrument: Number of solos of each of the eleven classes, 1 to 1000.
        seconds: Length of a solo.
        seed: Seed, 0 or larger.
        renderers: Renderers from `synthesise.choose_renderer`; the solos of a class use those that have it in turn.
        area: Smallest and largest share of the frame that a player takes.
        variety: Name of the range of timbres, keys, rooms and styles, see `variety`.
        pictures: Pictures of instruments that some players hold; None for drawn instruments only.

    Raises:
        InputError: A number is out of range, the variety is unknown, or there is no renderer.
    """

    folder: pathlib.Path
    solos_per_instrument: int
    seconds: float
    seed: int
    renderers: tuple[Renderer, ...]
    area: tuple[float, float] = AREA
    variety: str = "plain"
    pictures: PictureChoice | None = None

    def __post_init__(self) -> None:
        if not self.renderers:
            raise InputError("a set needs a renderer")
        missing = [name for name in CLASSES if not any(renderer.has(name) for renderer in self.renderers)]
        if missing:
            raise InputError(
                f"the recorded notes lack {', '.join(missing)}; add folders for them, or a soundfont for these "
                "classes, as in --soundfont=FILE.sf2,DIR"
            )
        choose_variety(self.variety)
        if not 1 <= self.solos_per_instrument <= _MOST_SOLOS:
            raise InputError(f"solos_per_instrument={self.solos_per_instrument} must be 1 to {_MOST_SOLOS}; try 16")
        if not MIN_SECONDS <= self.seconds <= 600:
            raise InputError(f"seconds={self.seconds:g} must be {MIN_SECONDS:g} to 600; try 24")
        if self.seed < 0:
            raise InputError(f"seed={self.seed} must be 0 or larger; try {-self.seed}")
        if not 0.01 <= self.area[0] <= self.area[1] <= animation.MAX_BOX_AREA:
            low, high = self.area
            raise InputError(
                f"area={low:g},{high:g} must be two rising shares from 0.01 to {animation.MAX_BOX_AREA}; try 0.1,0.15"
            )

    @property
    def jobs(self) -> list[tuple[str, int]]:
        """Every solo as (class, index), ordered by index and then by class."""
        return [(name, index) for index in range(self.solos_per_instrument) for name in CLASSES]

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters that all solos of a folder share, in the recorded form."""
        hashes = [renderer.font.sha256 if renderer.font else None for renderer in self.renderers]
        values = {
            "format_version": FORMAT_VERSION,
            "seed": self.seed,
            "seconds": self.seconds,
            "fps": animation.FPS,
            "frame_px": animation.FRAME_PX,
            "area": list(self.area),
            "variety": self.variety,
            "renderer": self.renderers[0].name,
            "renderer_version": self.renderers[0].version,
            "soundfont_sha256": hashes[0] if len(hashes) == 1 else hashes,
        }
        return values | ({"pictures": dict(self.pictures.parameters)} if self.pictures else {})


def claim_folder(solos: SoloSet) -> list[tuple[str, int]]:
    """Creates the folder, or checks that an existing one can be resumed.

    Returns:
        The solos that are not finished yet.

    Raises:
        InputError: The folder cannot be written or was rendered with other parameters.
    """
    record = solos.folder / RECORD_NAME
    try:
        solos.folder.mkdir(parents=True, exist_ok=True)
        if record.exists():
            _compare(solos, json.loads(record.read_text(encoding="utf-8")))
        else:
            _refuse_strangers(solos.folder)
            with atomic_file(record) as draft:
                draft.write_text(json.dumps(solos.parameters, indent=2) + "\n", encoding="utf-8")
    except json.JSONDecodeError as error:
        raise InputError(f"{record} is no JSON file ({error}); remove it, or choose another --out") from error
    except OSError as error:
        raise InputError(f"out={solos.folder} cannot be written ({error.strerror}); choose another --out") from error
    return [job for job in solos.jobs if not _is_finished(solos.folder, *job)]


def render_jobs(solos: SoloSet, jobs: list[tuple[str, int]], *, workers: int, done: Callable[[], object]) -> None:
    """Renders solos, in worker processes when there is more than one worker.

    Args:
        solos: Shared parameters.
        jobs: (class, index) of each solo to render.
        workers: Number of processes.
        done: Called after each solo.

    Raises:
        InputError: A worker process was killed, as happens when memory runs out.
    """
    if workers == 1:
        for job in jobs:
            _render(solos, *job)
            done()
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(jobs)) or 1,
        # Forked children of a process with threads can hang.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_leave_interrupts_to_parent,
    )
    try:
        futures = [pool.submit(_render, solos, *job) for job in jobs]
        for future in concurrent.futures.as_completed(futures):
            future.result()
            done()
    except BrokenProcessPool as error:
        raise InputError(
            f"one of workers={workers} processes was ended from outside, perhaps for lack of memory; run the "
            "same command again with fewer --workers (finished solos are kept)"
        ) from error
    finally:
        # After an interrupt the workers finish their current solos, which takes a second or two. A second interrupt
        # during this time would leave workers running.
        with _interrupts_ignored():
            pool.shutdown(wait=True, cancel_futures=True)


def _render(solos: SoloSet, name: str, index: int) -> None:
    able = [renderer for renderer in solos.renderers if renderer.has(name)]
    solo.render_solo(
        solos.folder,
        name,
        index=index,
        seed=solos.seed,
        seconds=solos.seconds,
        renderer=able[index % len(able)],
        options=solo.SoloOptions(
            solos.area,
            choose_variety(solos.variety),
            solos.pictures.held.get((name, index)) if solos.pictures else None,
        ),
    )


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives interrupts and may change their handler
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _is_finished(folder: pathlib.Path, name: str, index: int) -> bool:
    stem = folder / name / solo.solo_stem(name, index)
    return stem.with_suffix(".json").is_file() and stem.with_suffix(".mp4").is_file()


def _compare(solos: SoloSet, recorded: dict[str, Any]) -> None:
    wanted = solos.parameters
    recorded = {"area": list(AREA), "variety": "plain"} | recorded  # older folders record neither
    if recorded.get("pictures") != wanted.get("pictures"):
        raise InputError(
            f"out={solos.folder} was rendered with other pictures, another share of them or another number of solos, "
            "on which the pictures depend; use the same --pictures, --pictures_share, --pictures_split and "
            "--solos_per_instrument, or choose another --out"
        )
    for key in wanted:
        if recorded.get(key) != wanted[key]:
            raise InputError(
                f"out={solos.folder} was rendered with {key}={recorded.get(key)!r}, not {wanted[key]!r}; use "
                "that value, or choose another --out"
            )


def _refuse_strangers(folder: pathlib.Path) -> None:
    for name in CLASSES:
        if (folder / name).exists():
            raise InputError(
                f"out={folder} holds a folder {name} but no {RECORD_NAME}, so its videos are not ours; "
                "choose a new or empty --out"
            )
