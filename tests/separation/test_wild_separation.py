"""Separation of videos after public bug reports of other programs; docs/CASES.md says which reports."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from data_pipeline.media import reader
from tests.separation.conftest import duet, separate_video
from tests.support.odd_videos import halves, write

LOW, HIGH = duet(8000, 2.0, 1)
SOUND = np.rint(32_767 * (LOW + HIGH)).astype(np.int16)
FLOAT = (LOW + HIGH).astype(np.float32)
AUDIO = ("pcm_f32le", "flt")


def stems(out: Path, suffix: str) -> dict[str, np.ndarray]:
    names = ("sound1", "sound2", "residual")
    return {name: soundfile.read(out / f"{name}.{suffix}", always_2d=True)[0].T for name in names}


@pytest.mark.parametrize(
    ("options", "expected_px"),
    [
        ({"images": [halves(47, 63)] * 20, "video": ("libx264", "yuv444p")}, (46, 62)),
        ({"images": [halves(2, 2)] * 20, "video": ("ffv1", "yuv444p")}, (2, 2)),
        ({"images": [halves(1, 1)] * 20, "video": ("ffv1", "yuv444p")}, (2, 2)),
        ({"images": [halves(2, 800)] * 20, "video": ("ffv1", "yuv444p")}, (2, 800)),
        ({"images": [halves()]}, (48, 64)),
    ],
    ids=["odd", "two", "one", "narrow", "one_frame"],
)
def test_videos_of_unusual_frames_are_written(
    tmp_path: Path, model: Any, oracle: Any, options: dict[str, Any], expected_px: tuple[int, int]
) -> None:
    video = write(tmp_path / "a.mkv", sound=SOUND, repeat=20, **options)
    separate_video(video, tmp_path / "out", model, dict(sounds=2))
    header = reader.probe(tmp_path / "out" / "overview.mp4")
    assert header.picture_px == expected_px and header.duration_s == pytest.approx(2.0, abs=0.15)
    np.testing.assert_allclose(stems(tmp_path / "out", "wav")["sound1"], LOW, atol=1e-3)


@pytest.mark.parametrize("gain", [8.0, 32_768.0, 1e-3])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_stems_of_any_level_sum_to_the_recording(
    tmp_path: Path, model: Any, oracle: Any, gain: float, suffix: str
) -> None:
    sound = (gain * FLOAT).astype(np.float32)
    video = write(tmp_path / "a.mkv", audio=AUDIO, sound=sound)
    summary = separate_video(video, tmp_path / "out", model, dict(sounds=2, format=suffix, videos=False))
    found = stems(tmp_path / "out", suffix)
    assert suffix == "wav" or max(np.abs(stem).max() for stem in found.values()) <= 1.0
    total = sum(found.values()) / summary["files"]["gain"]
    np.testing.assert_allclose(total / gain, FLOAT, atol=5e-4)  # FLAC has 24 bits
