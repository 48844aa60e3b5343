"""Times the preparation of videos: `python -m benchmarks.prepare --json=FILE [--minutes=5,30] [--workdir=DIR]`.

Runs `data_pipeline.prepare` at the paper's sample rate and frame size on one video per length (1280 x 720 pixels, 30
frames per second, H.264 at 2.5 Mbit/s, AAC) and on a folder of rendered solos. The results are the seconds of video
prepared per second (`times_real_time`), the size of the set per hour of video (`bytes_an_hour`), the peak memory of the
command with all its processes (`peak_bytes`; proportional set size, which counts shared memory once) and the ratio of
the longest video's peak to the shortest's (`memory_growth`).
"""

import contextlib
import shutil
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from absl import flags, logging

from benchmarks.harness import record
from data_pipeline import command
from data_pipeline.command import InputError
from mpnet_jax.run.facts import usable_cores

FPS, HEIGHT, WIDTH, BITS_PER_SECOND, RATE_HZ = 30, 720, 1280, 2_500_000, 44_100
SOLO_SECONDS = 24
CUT = ("--rate_hz=16000", "--frame_px=246")  # the paper's
_PIECE_SECONDS = 60  # encoded once and repeated to any length
_WATCH_SECONDS = 0.1


def encode_piece(path: Path) -> None:
    """Encodes one minute of a natural-looking scene: bright shapes that move over a grainy background."""
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 6, (HEIGHT, WIDTH, 1))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    background = np.stack([80 + 60 * rows / HEIGHT, 90 + 40 * columns / WIDTH, 100 + 0 * rows], -1) + grain
    seconds = np.arange(_PIECE_SECONDS * RATE_HZ) / RATE_HZ
    tones_hz = np.array([220.0, 277.2, 329.6, 1320.0])
    wave = 0.1 * np.sin(2 * np.pi * tones_hz[:, None] * seconds).sum(0)
    with av.open(str(path), "w") as container:
        picture_stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        picture_stream.width, picture_stream.height, picture_stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        picture_stream.bit_rate = BITS_PER_SECOND
        sound_stream = container.add_stream("aac", rate=RATE_HZ, layout="stereo")
        for number in range(_PIECE_SECONDS * FPS):
            picture = np.roll(background, number % 16, axis=1)
            for shape in range(4):
                top = round(250 + 200 * np.sin(number / 40 + shape))
                left = round(550 + 500 * np.sin(number / 55 + 1.7 * shape))
                picture[top : top + 180, left : left + 120] = (220 - 50 * shape, 60 + 40 * shape, 120)
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="rgb24")
            container.mux(picture_stream.encode(frame))
        container.mux(picture_stream.encode())
        for first in range(0, len(seconds) - 1023, 1024):
            block = np.repeat(wave[None, first : first + 1024], 2, axis=0).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, first, Fraction(1, RATE_HZ)
            container.mux(sound_stream.encode(frame))
        container.mux(sound_stream.encode())


def repeat(piece: Path, path: Path, times: int) -> None:
    """Repeats a video without encoding it again."""
    with av.open(str(path), "w") as container:
        streams: dict[int, Any] = {}
        for number in range(times):
            with av.open(str(piece)) as source:
                for stream in source.streams:
                    if stream.index not in streams:
                        streams[stream.index] = container.add_stream_from_template(stream)
                for packet in source.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    shift = round(number * _PIECE_SECONDS / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream.index]
                    container.mux(packet)


def measured(arguments: list[str]) -> dict[str, float]:
    """Runs a command; returns its seconds and the peak memory (proportional set size) of it and its children."""
    start = time.perf_counter()
    peak = 0
    with subprocess.Popen(  # noqa: S603 (this project's own commands)
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        while process.poll() is None:
            peak = max(peak, _family_bytes(process.pid))
            time.sleep(_WATCH_SECONDS)
        message = process.stderr.read() if process.stderr else ""
    if process.returncode:
        raise InputError(f"{' '.join(arguments)} ended with status {process.returncode}: {message.strip()}")
    return {"seconds": time.perf_counter() - start, "peak_bytes": peak}


def _family_bytes(pid: int) -> int:
    total = 0
    for member in _family(pid):
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{member}/smaps_rollup").read_text(encoding="utf-8").splitlines()
            total += next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return total


def _family(pid: int) -> list[int]:
    children = []
    with contextlib.suppress(OSError):
        for tasks in Path(f"/proc/{pid}/task").iterdir():
            children += [int(child) for child in (tasks / "children").read_text(encoding="utf-8").split()]
    return [pid, *(member for child in children for member in _family(child))]


def prepare(videos: Path, workdir: Path, *, video_seconds: float) -> dict[str, float]:
    """Prepares a folder of videos from scratch; adds rates to the figures of `measured`."""
    data_dir = workdir / "data"
    shutil.rmtree(data_dir, ignore_errors=True)
    arguments = [sys.executable, "-m", "data_pipeline.prepare", f"--videos={videos}", f"--data_dir={data_dir}"]
    found = measured([*arguments, "--name=benchmark", *CUT])
    size = sum(path.stat().st_size for path in data_dir.rglob("*.tfrecord*"))
    rates = {"times_real_time": video_seconds / found["seconds"], "bytes_an_hour": size * 3600 / video_seconds}
    return found | rates


def main() -> None:
    """Runs the benchmark."""
    options = flags.FLAGS
    path, workdir = record.check_file(options.json), options.workdir
    workdir.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "what": "times_real_time: seconds of video prepared per second; peak_bytes: peak proportional set size of the "
        "command with its processes; memory_growth: the longest video's peak over the shortest's",
        "cores": usable_cores(),
        "cut": CUT,
        "videos": {},
    }
    piece = workdir / "piece.mp4"
    if not piece.exists():
        logging.info("encoding a minute of video")
        encode_piece(draft := workdir / "draft.mp4")
        draft.rename(piece)
    for minutes in sorted(map(int, options.minutes)):
        folder = workdir / f"{minutes}_minutes" / "scene"
        folder.mkdir(parents=True, exist_ok=True)
        repeat(piece, folder / "scene.mp4", minutes * 60 // _PIECE_SECONDS)
        found = prepare(folder.parent, workdir, video_seconds=minutes * 60)
        results["videos"][f"{minutes}_minutes_720p"] = found
        logging.info("%d minutes of 720p: %s", minutes, found)
    solos = workdir / "solos"
    render = [sys.executable, "-m", "data_pipeline.render_solos", f"--out={solos}", f"--seconds={SOLO_SECONDS}"]
    measured([*render, f"--solos_per_instrument={options.solos_per_instrument}"])
    found = prepare(solos, workdir, video_seconds=len(list(solos.rglob("*.mp4"))) * SOLO_SECONDS)
    results["videos"]["rendered_solos"] = found
    logging.info("rendered solos: %s", found)
    peaks = [found["peak_bytes"] for name, found in results["videos"].items() if name.endswith("720p")]
    results["memory_growth"] = peaks[-1] / peaks[0]
    record.write(path, results)
    logging.info("numbers: %s", path)


if __name__ == "__main__":
    command.define_path("json", None, "JSON file for the results.")
    flags.DEFINE_list("minutes", ["5", "30"], "Lengths of the videos in minutes.")
    flags.DEFINE_integer("solos_per_instrument", 6, "Rendered solos per instrument, of eleven instruments.")
    command.define_path("workdir", "runs/benchmarks/prepare", "Folder of the videos, which are reused.")
    command.run(main)
