"""A preparation that was killed several times ends with the same bytes as an uninterrupted one."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.repository import ROOT

KILLS = 10


def command(videos: Path, data: Path) -> list[str]:
    flags = ["--name=solos", "--fps=4", "--frame_px=48", "--chunk_seconds=4", "--min_seconds=1", "--workers=2"]
    return [sys.executable, "-m", "data_pipeline.prepare", f"--videos={videos}", f"--data_dir={data}", *flags]


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_a_killed_preparation_ends_with_the_same_bytes(tmp_path, write_video):
    rng = np.random.default_rng(0)
    for number in range(12):
        pictures = list(rng.integers(0, 255, (60, 96, 128, 3), dtype=np.uint8))
        path = tmp_path / "videos" / ("cello", "violin")[number % 2] / f"{number}.mp4"
        write_video(path, seconds=6, tone_hz=200 + 50 * number, pictures=pictures)
    (tmp_path / "videos" / "violin" / "bad.mp4").write_text("no video")
    start = time.monotonic()
    subprocess.run(command(tmp_path / "videos", tmp_path / "whole"), cwd=ROOT, check=True, timeout=300)
    seconds = time.monotonic() - start

    whole, data, killed = digests(tmp_path / "whole"), tmp_path / "killed", 0
    while killed < KILLS:
        # A process group of its own: sometimes the workers are killed, too, and sometimes they must notice it.
        process = subprocess.Popen(command(tmp_path / "videos", data), cwd=ROOT, start_new_session=True)
        time.sleep(rng.uniform(0.05, 0.9) * seconds)
        if process.poll() is None:
            (os.killpg if rng.integers(2) else os.kill)(process.pid, signal.SIGKILL)
            killed += 1
        process.wait(timeout=60)
        if (data / "solos").exists():  # must be complete when it has its name; then start again
            assert digests(data / "solos") == digests(tmp_path / "whole" / "solos")
            shutil.rmtree(data)
    subprocess.run(command(tmp_path / "videos", data), cwd=ROOT, check=True, timeout=300)
    assert digests(data) == whole
