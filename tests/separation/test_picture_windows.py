import itertools

import numpy as np
import pytest

from data_pipeline.spec import AudioSpec
from mpnet_jax.separation.picture_windows import feature_windows, picture_windows
from mpnet_jax.separation.sound_windows import start_seconds
from mpnet_jax.separation.source import Arrays

AUDIO = AudioSpec(rate_hz=8000, clip_samples=31 * 64, fft_samples=254, hop_samples=64)
FPS = 100.0


def source(seconds: float = 2.0) -> Arrays:
    """A video whose frames hold their number."""
    pictures = np.broadcast_to(np.arange(round(seconds * FPS), dtype=np.uint8)[:, None, None, None], (200, 32, 48, 3))
    return Arrays(np.zeros(16_000, np.float32), 8000, np.ascontiguousarray(pictures), FPS)


def numbers(seconds: list[float], windows: int) -> np.ndarray:
    """Numbers of the frames of the first windows."""
    frames = picture_windows(source(), AUDIO, seconds, fps=FPS, side_px=32)
    return np.stack([window[:, 0, 0, 0] for window in itertools.islice(frames, windows)])


def test_a_window_has_the_frames_of_its_times():
    found = numbers([0.05, 0.2], 4)
    for window, frames in enumerate(found):
        expected = [np.floor((start_seconds(window, AUDIO) + s) * FPS) for s in (0.05, 0.2)]
        np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize("size", [1, 4])
def test_a_trunk_looks_once_at_every_second_half_of_a_window(size):
    hop = start_seconds(1, AUDIO)
    looked = []

    def trunk(batch):
        looked.extend(batch["frames"][:, 0, 0, 0, 0, 0])
        assert len(batch["frames"]) == size
        return {"features": batch["frames"][..., ::16, ::16, :].astype(np.float32) / 2}

    halves = picture_windows(source(), AUDIO, [hop / 2], fps=FPS, side_px=32)
    windows = list(itertools.islice(feature_windows(halves, trunk, size), 6))
    assert all(window.shape == (2, 2, 3, 3) for window in windows)
    middles = np.floor((np.arange(7) // 2 * 2 + 0.5) * hop * FPS)
    np.testing.assert_array_equal([window[:, 0, 0, 0] * 2 for window in windows], list(itertools.pairwise(middles)))
    assert len(looked) == len(set(looked)) and 4 <= len(looked) < 4 + size
