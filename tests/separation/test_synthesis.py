import numpy as np
import pytest

from data_pipeline.spec import AudioSpec
from mpnet_jax.separation.synthesis import Synthesis

AUDIO = AudioSpec(rate_hz=11_025, clip_samples=31 * 256, fft_samples=1022, hop_samples=256)


def run(sound, rate_hz, share, numbers=(1,), block=16):
    """Returns the recording and the sounds of a mask that is constant over time."""
    synthesis = Synthesis(rate_hz, len(sound), AUDIO)
    columns = int(sound.shape[1] / rate_hz * AUDIO.rate_hz / AUDIO.hop_samples) + 2
    columns += -columns % block
    synthesis.add_recording(sound, sound)
    pieces = [
        synthesis.apply(
            {number: np.repeat(share[:, None], block, axis=1) for number in numbers},
            block,
            last=first + block == columns,
        )
        for first in range(0, columns, block)
    ]
    recorded = np.concatenate([piece.recorded for piece in pieces], axis=1)
    sounds = {n: np.concatenate([p.sounds.get(n, np.zeros_like(p.recorded)) for p in pieces], axis=1) for n in numbers}
    return recorded, sounds


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_mask_of_ones_gives_the_recording(rate_hz, channels):
    sound = np.random.default_rng(0).normal(0, 0.2, (channels, round(1.37 * rate_hz))).astype(np.float32)
    recorded, sounds = run(sound, rate_hz, np.ones(AUDIO.freq_bins, np.float32))
    np.testing.assert_array_equal(recorded, sound)
    np.testing.assert_allclose(sounds[1], sound, atol=2e-6)


def test_masks_act_on_their_own_frequencies():
    rate_hz, time = 48_000, np.arange(2 * 48_000) / 48_000
    fade = np.minimum(1.0, 4 * np.minimum(time, time[::-1]))
    low, high = fade * np.sin(2 * np.pi * 440 * time), fade * np.sin(2 * np.pi * 3000 * time)
    hz = np.linspace(0, AUDIO.rate_hz / 2, AUDIO.freq_bins)
    _, sounds = run((low + high)[None].astype(np.float32), rate_hz, (hz < 1500).astype(np.float32))
    np.testing.assert_allclose(sounds[1][0], low, atol=1e-3)


def test_above_the_band_a_sound_has_its_share_of_the_highest_octave():
    rate_hz, time = 48_000, np.arange(2 * 48_000) / 48_000
    fade = np.minimum(1.0, 4 * np.minimum(time, time[::-1]))
    tones = {hz: fade * np.sin(2 * np.pi * hz * time) for hz in (1000, 4000, 12_000)}
    share = np.interp(np.linspace(0, AUDIO.rate_hz / 2, AUDIO.freq_bins), [2000, 2500], [1.0, 0.25])
    _, sounds = run(sum(tones.values())[None].astype(np.float32), rate_hz, share.astype(np.float32))
    expected = tones[1000] + 0.25 * tones[4000] + 0.25 * tones[12_000]
    middle = slice(rate_hz // 2, -rate_hz // 2)  # At the edges, the fades spread the tones over all bins.
    np.testing.assert_allclose(sounds[1][0, middle], expected[middle], atol=5e-3)


def test_memory_stays_flat():
    synthesis, share = Synthesis(8000, 1, AUDIO), np.ones((AUDIO.freq_bins, 16), np.float32)
    hop = round(16 * AUDIO.hop_samples / AUDIO.rate_hz * 8000)
    sizes = []
    synthesis.add_recording(*2 * [np.ones((1, 2 * hop), np.float32)])
    for _ in range(20):
        synthesis.add_recording(*2 * [np.ones((1, hop), np.float32)])
        synthesis.apply({1: share}, 16, last=False)
        sizes.append(synthesis._recorded.shape[1] + synthesis._sounds[1].shape[1])
    assert max(sizes[10:]) <= max(sizes[:10]) + 10
