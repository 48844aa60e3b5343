import dataclasses
import json

import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from data_pipeline.mixture_list import MixtureListSpec
from data_pipeline.spec import AudioSpec
from mpnet_jax.evaluation.counting import (
    amount_of_noise,
    choose_epsilon,
    count_results,
    counted,
    noise_batches,
    with_silent_clips,
)
from mpnet_jax.recursion.rules import Rules

AUDIO = AudioSpec(rate_hz=8000, clip_samples=4032, fft_samples=254, hop_samples=64)
# Remaining mixtures: of one, two and three sounds, of two sounds that leave a third, of silence, and of a faint sound.
REMAINING = np.array(
    [[1.0, 0.1, 0.01, 0.001], [2.0, 1.0, 0.2, 0.02], [1.0, 0.7, 0.4, 0.1], [0.9, 0.6, 0.3, 0.1], [0.0] * 4, [1e-9] * 4]
)
SOUNDING = np.array([1, 2, 3, 2, 0, 0])


def test_counts_by_hand():
    counts = counted(REMAINING, epsilon_relative=0.35, epsilon_absolute=1e-6)
    np.testing.assert_array_equal(counts, [1, 2, 3, 2, 0, 0])
    # A remaining mixture that equals the threshold is not counted.
    np.testing.assert_array_equal(counted(REMAINING, epsilon_relative=0.5, epsilon_absolute=0.0)[:2], [1, 1])
    # Without an absolute threshold a faint sound is counted as any other, and silence still is not.
    np.testing.assert_array_equal(counted(REMAINING, epsilon_relative=0.35, epsilon_absolute=0.0)[4:], [0, 3])


def test_steps_after_the_first_end_do_not_count():
    rises = np.array([[1.0, 0.1, 0.9, 0.9]])
    assert counted(rises, epsilon_relative=0.5, epsilon_absolute=0.0).tolist() == [1]


def test_epsilon_is_the_middle_of_the_widest_interval_of_best_ones():
    epsilon, curve = choose_epsilon(REMAINING, SOUNDING, epsilon_absolute=1e-6)
    # Right for all between 0.3 / 0.9 (a third sound of the fourth mixture) and 0.4 (the third mixture's last).
    assert 1 / 3 < epsilon < 0.4
    assert epsilon == pytest.approx(np.sqrt(1 / 3 * 0.4), rel=0.02)
    values = np.array(curve)
    assert values[:, 0].min() == pytest.approx(1e-3) and values[:, 0].max() == pytest.approx(1.0)
    assert values[:, 1].max() == 1.0 and values[0, 1] < 1.0


def test_results_by_hand():
    ids = [(str(number), "shared") for number in range(6)]
    out = count_results(REMAINING, SOUNDING, ids, epsilon_relative=0.5, epsilon_absolute=1e-6, most=2)
    # The counts are 1, 1, 2, 2, 0, 0.
    assert out["accuracy"]["mean"] == pytest.approx(4 / 6)
    assert out["constant"]["guess"] == 0 and out["constant"]["accuracy"]["mean"] == pytest.approx(2 / 6)
    assert out["as_trained"]["most"] == 2
    assert out["as_trained"]["accuracy"]["mean"] == pytest.approx(2 / 3)  # of 1, 2 and 2, counted as 1, 1 and 2
    assert out["as_trained"]["constant"]["guess"] == 2
    assert [row["sounding"] for row in out["by_count"]] == [0, 1, 2, 3]
    assert [row["accuracy"]["mean"] for row in out["by_count"]] == [1.0, 1.0, 0.5, 0.0]
    assert out["confusion"] == [[2, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]]
    json.dumps(out, allow_nan=False)


def test_mixtures_for_counting_have_silent_clips():
    spec = MixtureListSpec(9, 2, False, 6.0, -40.0, -20.0, 3)
    changed = with_silent_clips(spec, count=12, visible=6, most=2)
    assert dataclasses.replace(changed, count=9, sources=2, sounding=()) == spec
    assert (changed.count, changed.sources, changed.sounding) == (12, 6, (0, 1, 2))


def batches(count, size):
    for start in range(0, count, size):
        index = np.minimum(np.arange(start, start + size), count - 1)
        yield {"index": index, "valid": np.arange(start, start + size) < count, "frames": np.zeros((size, 1))}


@pytest.mark.parametrize("remainder", ["mean", "rms"])
def test_noise_has_the_amount_that_defines_silence(remainder):
    (batch,) = noise_batches(batches(8, 8), AUDIO, level_dbfs=-40.0, seed=0)
    amounts = Rules(remainder=remainder).amount(jnp.asarray(batch["mixture_magnitude"]))
    np.testing.assert_allclose(amounts, amount_of_noise(-40.0, AUDIO, remainder), rtol=0.06)
    assert np.mean(amounts) == pytest.approx(amount_of_noise(-40.0, AUDIO, remainder), rel=0.02)
    wave = 10 ** (-40 / 20) * np.random.default_rng([0, 3]).standard_normal(AUDIO.clip_samples, np.float32)
    expected = abs(librosa.stft(wave, n_fft=AUDIO.fft_samples, hop_length=AUDIO.hop_samples, pad_mode="reflect"))
    np.testing.assert_allclose(batch["mixture_magnitude"][3], expected, atol=1e-5)


def test_noise_does_not_depend_on_the_batch():
    one, other = (
        np.concatenate(
            [
                b["mixture_magnitude"][b["valid"]]
                for b in noise_batches(batches(5, size), AUDIO, level_dbfs=-20.0, seed=1)
            ]
        )
        for size in (2, 5)
    )
    np.testing.assert_allclose(one, other, atol=1e-6)
