import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.media.downmix import Downmix, channel_weights

RATE_HZ = 8000
STEREO = ("FL", "FR")
SURROUND = ("FL", "FR", "FC", "LFE", "BL", "BR")


def mixed(sound, layout=STEREO, size=1000):
    downmix = Downmix(RATE_HZ)
    blocks = [downmix.add(sound[:, first : first + size], layout) for first in range(0, sound.shape[1], size)]
    return np.concatenate([*blocks, downmix.finish()]), downmix


def notes(seed, seconds=3.0, low_hz=200.0):
    """Notes of 0.3 s with five harmonics, float32 (samples,), root mean square 0.1."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(0.3 * RATE_HZ)) / RATE_HZ
    sound = [
        np.exp(-3 * time) * sum(np.sin(2 * np.pi * k * hz * time + k) / k for k in range(1, 6))
        for hz in low_hz * 2 ** (rng.integers(0, 24, round(seconds / 0.3)) / 12)
    ]
    wave = np.concatenate(sound)
    return (0.1 / np.sqrt(np.mean(wave**2)) * wave).astype(np.float32)


def error_db(found, truth):
    """Power of the difference relative to that of the truth."""
    return 10 * np.log10(np.sum(np.square(found - truth)) / np.sum(np.square(truth)) + 1e-20)


A, B = notes(1), notes(2, low_hz=300.0)


@pytest.mark.parametrize(
    "sound",
    [A[None], np.stack([A, A]), np.stack([A + B, 0 * A]), np.stack([0 * A, A]), np.stack([A + 0.5 * B, 0.5 * A + B])],
    ids=["mono", "twice", "left", "right", "panned"],
)
def test_ordinary_channels_give_their_mean(sound):
    found, downmix = mixed(sound)
    np.testing.assert_allclose(found, sound.mean(axis=0), atol=1e-7)
    assert downmix.rescued_db == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("sound", [np.stack([A, B]), np.random.default_rng(0).normal(0, 0.1, (2, 24_000))])
def test_independent_channels_are_nearly_their_mean(sound):
    sound = sound.astype(np.float32)
    found, downmix = mixed(sound)
    assert error_db(found, sound.mean(axis=0)) < -20
    assert 0 <= downmix.rescued_db < 0.1


@pytest.mark.parametrize("gain", [-1.0, -0.5])
def test_an_inverted_channel_keeps_the_level(gain):
    found, downmix = mixed(np.stack([A, np.float32(gain) * A]))
    assert error_db(found, (1 - gain) / 2 * A) < -40
    assert downmix.rescued_db > 6


@pytest.mark.parametrize("inverted", ["first", "second"])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_one_inverted_source_is_kept_beside_the_other(inverted, share):
    first, second = (1.0, -1.0) if inverted == "second" else (-1.0, 1.0)
    quiet = np.float32(share) * B
    found, downmix = mixed(np.stack([A + quiet, first * A + second * quiet]))
    assert error_db(found, A + quiet) < -20
    assert downmix.rescued_db > 0.5


def test_a_source_that_is_late_in_one_channel_is_not_filtered_like_a_comb():
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * RATE_HZ).astype(np.float32)
    found, _ = mixed(np.stack([noise[8:], noise[:-8]]))
    power = np.abs(np.fft.rfft(found[:16_000])).reshape(-1, 8001)[0, :8000].reshape(-1, 100)
    assert np.square(power).mean(axis=1).min() > 0.5 * np.square(power).mean()


def _sign_is_certain(panning):
    # At -75 degrees the mean has half the power of independent channels, and its sign is that of the second channel.
    # Bins of a source may then lie on both sides of the limit and have opposite signs.
    return abs(panning + np.deg2rad(75)) > 0.02


@settings(max_examples=40, deadline=None)
@given(
    panning=st.lists(st.floats(-np.pi / 2, np.pi / 2).filter(_sign_is_certain), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
)
def test_no_source_is_lost_at_any_panning_and_polarity(panning, seed):
    # Tones that share no bin: each has a gain of cos and sin in the two channels.
    rng = np.random.default_rng(seed)
    time, hz = np.arange(2 * RATE_HZ) / RATE_HZ, [400, 1000, 2200]
    tones = [0.1 * np.sin(2 * np.pi * f * time + rng.uniform(0, 6)) for f in hz[: len(panning)]]
    sound = np.sum([np.outer([np.cos(p), np.sin(p)], tone) for p, tone in zip(panning, tones, strict=True)], axis=0)
    found, _ = mixed(sound.astype(np.float32))
    spectrum = np.abs(np.fft.rfft(found[2000:10_000] * np.hanning(8000)))
    level = np.array([spectrum[f - 2 : f + 3].max() for f in hz[: len(panning)]]) / (0.25 * 8000 * 0.1)
    # Half the power of a sum of independent channels, of weight 0.5 each.
    assert (level > 0.98 * np.sqrt(0.5 * 0.25)).all()
    # In phase, a source that one channel holds alone has a level of 0.5. If that channel replaces the mean, its gain
    # makes up for sources that are quieter in it.
    assert (level < 1.1).all()


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 30_000), min_size=1, max_size=6), channels=st.sampled_from([1, 2, 6]))
def test_the_result_does_not_depend_on_the_blocks(sizes, channels):
    sound = np.random.default_rng(0).normal(0.05, 0.1, (channels, sum(sizes))).astype(np.float32)
    layout = {1: ("FC",), 2: STEREO, 6: SURROUND}[channels]
    whole, _ = mixed(sound, layout, size=sound.shape[1])
    downmix, blocks, steady = Downmix(RATE_HZ), [], []
    for block in np.split(sound, np.cumsum(sizes)[:-1], axis=1):
        blocks.append(downmix.add(block, layout))
        steady.append(downmix.steady)
    blocks.append(downmix.finish())
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert len(whole) == sum(sizes)
    assert np.concatenate([*steady, downmix.steady], axis=1).shape == sound.shape


@pytest.mark.parametrize("seconds", [0.2, 1.1, 3.0])
@pytest.mark.parametrize("offset", [0.1, -0.02])
def test_an_offset_is_removed_from_each_channel(seconds, offset):
    alone = A[: round(seconds * RATE_HZ)]
    offsets = np.array([[offset], [-0.5 * offset]], np.float32)
    downmix = Downmix(RATE_HZ)
    found, steady = [downmix.add(np.stack([alone, alone]) + offsets, STEREO)], [downmix.steady]
    found.append(downmix.finish())
    steady.append(downmix.steady)
    assert error_db(np.concatenate(found), alone) < -30
    assert np.abs(np.concatenate(steady, axis=1).mean(axis=1)).max() < 2e-3
    assert downmix.offset == pytest.approx(offset, abs=2e-3)


def test_low_notes_are_no_offset():
    sound = (0.3 * np.sin(2 * np.pi * 27.5 * np.arange(4 * RATE_HZ) / RATE_HZ)).astype(np.float32)[None]
    found, _ = mixed(sound, ("FC",))
    np.testing.assert_array_equal(found, sound[0])


def test_silence_stays_silence():
    found, downmix = mixed(np.zeros((2, 20_000), np.float32))
    assert not found.any() and downmix.rescued_db == 0 and downmix.offset == 0
    assert not len(Downmix(RATE_HZ).finish())


def test_channels_have_their_usual_weights():
    # FFmpeg's matrix from 5.1 to mono (ITU-R BS.775): centre 1, front 0.707, surround 0.5, no bass channel.
    expected = np.array([0.7071, 0.7071, 1.0, 0.0, 0.5, 0.5])
    np.testing.assert_allclose(channel_weights(SURROUND), expected / expected.sum(), atol=1e-4)
    np.testing.assert_array_equal(channel_weights(STEREO), [0.5, 0.5])
    np.testing.assert_array_equal(channel_weights(("NONE",) * 4), [0.25] * 4)
    np.testing.assert_array_equal(channel_weights(("LFE",)), [1.0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_music_in_the_surrounds_is_heard(sign):
    sound = np.zeros((6, len(A)), np.float32)
    sound[4], sound[5] = A, sign * A
    sound[3] = 0.5 * np.sin(2 * np.pi * 40 * np.arange(len(A)) / RATE_HZ)
    found, _ = mixed(sound, SURROUND)
    assert error_db(found, 2 * channel_weights(SURROUND)[4] * A) < -40


def test_a_layout_may_change():
    downmix = Downmix(RATE_HZ)
    parts = [downmix.add(A[None], ("FC",)), downmix.add(np.stack([A, -A]), STEREO), downmix.finish()]
    found = np.concatenate(parts)
    assert error_db(found[: len(A)], A) < -100
    assert error_db(found[len(A) :], A) < -40


def test_memory_stays_flat():
    downmix, block = Downmix(RATE_HZ), np.random.default_rng(0).normal(0, 0.1, (2, 4000)).astype(np.float32)
    late = [4000 * count - done for count, done in _progress(downmix, block, 40)]
    assert max(late) < 3 * RATE_HZ


def _progress(downmix, block, count):
    done = 0
    for number in range(1, count + 1):
        done += len(downmix.add(block, STEREO))
        yield number, done
