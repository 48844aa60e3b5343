"""Makes rendered solos for the loaders: a prepared set for ours, the same as wav and jpg files for the peer."""

import dataclasses
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import soundfile
from absl import logging

from data_pipeline.command import InputError
from data_pipeline.records.store import RecordStore
from data_pipeline.rendered.sound import synthesise
from data_pipeline.sources import rendered_solos
from data_pipeline.sources.rendered_solos import SoloSet
from mpnet_jax.run.facts import usable_cores

LIST_FILE = "solos.json"


@dataclasses.dataclass(frozen=True)
class Solo:
    """A folder with one solo: `sound.wav` and `00000.jpg`, `00001.jpg`, ... at `fps` pictures per second.

    Attributes:
        folder: Folder of its files, relative to the list.
        label: Class of the solo.
        samples: Samples in its sound.
        pictures: Number of pictures.
        fps: Pictures per second.
        rms: Root mean square of its sound, full scale 1.
    """

    folder: str
    label: int
    samples: int
    pictures: int
    fps: float
    rms: float


def prepared_set(workdir: Path, *, seconds: float, solos: int, rate_hz: int, frame_px: int) -> tuple[Path, str]:
    """Renders solos of distinct instruments and prepares them as a training split, unless the set exists.

    Args:
        workdir: Folder for videos and sets.
        seconds: Seconds in a solo.
        solos: Number of solos, at most 11.
        rate_hz: Sample rate.
        frame_px: Shorter side of the stored pictures.

    Returns:
        The folder of the sets and the name of the set.
    """
    name = f"solos{solos}_{seconds:g}s_{rate_hz}hz_{frame_px}px".replace(".", "_")
    data = workdir / "data"
    if (data / name).is_dir():
        return data, name
    videos = workdir / "videos" / name
    rendered = SoloSet(videos, 1, seconds, 0, (synthesise.choose_renderer("auto", None),))
    jobs = [job for job in rendered_solos.claim_folder(rendered) if job in rendered.jobs[:solos]]
    logging.info("rendering %d solos of %g s", len(jobs), seconds)
    rendered_solos.render_jobs(rendered, jobs, workers=usable_cores(), done=lambda: None)
    command = [sys.executable, "-m", "data_pipeline.prepare", "--source=folder", f"--videos={videos}"]
    command += [f"--data_dir={data}", f"--name={name}", f"--rate_hz={rate_hz}", f"--frame_px={frame_px}"]
    done = subprocess.run([*command, "--split=train"], capture_output=True, encoding="utf-8")  # noqa: S603
    if done.returncode:
        raise InputError(f"the solos could not be prepared: {done.stderr.strip()}")
    return data, name


def extracted_files(data: Path, name: str) -> Path:
    """Writes the sounds and pictures of a prepared set as wav and jpg files, unless they exist.

    Returns:
        The folder of the files and their list.
    """
    folder = data.parent / "files" / name
    if (folder / LIST_FILE).is_file():
        return folder
    store = RecordStore.open(data, name, "train")
    records = defaultdict(list)
    for index, clip in enumerate(store.clips):
        records[clip.video_id].append((clip.chunk, index))
    rows = [_extract(store, folder, video, [index for _, index in sorted(records[video])]) for video in sorted(records)]
    (folder / LIST_FILE).write_text(json.dumps([dataclasses.asdict(row) for row in rows]), encoding="utf-8")
    return folder


def _extract(store: RecordStore, folder: Path, video: str, indices: list[int]) -> Solo:
    """Joins a video's records; JPEG bytes are copied unchanged."""
    (folder / video).mkdir(parents=True, exist_ok=True)
    pictures = samples = 0
    with soundfile.SoundFile(folder / video / "sound.wav", "w", store.spec.rate_hz, 1, "PCM_16") as sound:
        for index in indices:
            clip = store.clips[index]
            sound.write(store.read_sound(index))
            for jpeg in store.read_pictures(index, range(clip.frames)):
                (folder / video / f"{pictures:05d}.jpg").write_bytes(jpeg)
                pictures += 1
            samples += clip.samples
    first = store.clips[indices[0]]
    return Solo(video, first.label, samples, pictures, store.spec.fps, first.video_rms)
