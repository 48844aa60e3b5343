"""Tests of the losses of completed sounds on values by hand, and of the SI-SDR against waveforms."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from mpnet_jax.metrics.si_sdr import si_sdr as of_waveforms
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.recursion.separation import Separation
from mpnet_jax.spectrogram.frequency import FrequencyAxis
from mpnet_jax.steps.plus_losses import InPhase, magnitude, missed, si_sdr


def logit(share):
    return np.log(share) - np.log1p(-np.asarray(share))


def bins(*values):
    """Returns one array (step, batch, freq, time) with a row of bins for each step."""
    return jnp.asarray(values, jnp.float32)[:, None, None, :]


def separation_of(masks, before, moved, remixes):
    """Returns the results of two steps; fields that no loss reads are empty."""
    plus = jnp.concatenate([jnp.full((1, 1, 1, len(masks[0])), -jnp.inf), jnp.asarray(logit(bins(*moved)))])
    remixes = jnp.concatenate([jnp.zeros_like(plus[:1]), bins(*remixes)])
    masks, before = bins(*masks), bins(*before)
    empty = jnp.zeros(())
    fields = dict.fromkeys(("active", "energies", "statistics", "remaining", "sounds"), empty)
    return Separation(
        mask_logits=jnp.asarray(logit(masks)),
        plus_logits=plus,
        before=before,
        remixes=remixes,
        incomplete=empty,
        chosen=jnp.array([[0], [1]]),
        **fields,
    )


def test_linear_magnitudes_are_relative_to_the_level_of_the_mixture():
    sounds, truth, mixture = bins([1.0, 2.0]), bins([3.0, 2.0]), jnp.array([[[4.0, 6.0]]])
    np.testing.assert_allclose(magnitude(sounds, truth, mixture, logarithmic=False), bins([2 / 5, 0.0]), rtol=1e-6)
    scaled = magnitude(9 * sounds, 9 * truth, 9 * mixture, logarithmic=False)
    np.testing.assert_allclose(scaled, bins([2 / 5, 0.0]), rtol=1e-6)
    log = magnitude(sounds, truth, mixture, logarithmic=True)
    np.testing.assert_allclose(log, bins([np.log(2.0), 0.0]), rtol=1e-6)
    assert np.isfinite(magnitude(sounds, truth, 0 * mixture, logarithmic=False)).all()


def test_the_missed_part_is_what_the_thresholded_sound_lacks():
    # Sounds of three bins: the second sound is missed in the first bin, kept in the second, and not there in the third.
    found = separation_of(
        masks=([0.9, 0.4, 0.9], [0.2, 0.8, 0.2]),
        before=([4.0, 4.0, 4.0], [0.4, 2.4, 0.4]),
        moved=([0.3, 0.5, 0.2],),
        remixes=([3.6, 1.6, 3.6],),
    )
    mixture, truth = jnp.full((1, 1, 3), 4.0), bins([1.0, 1.6, 4.0], [3.0, 2.4, 0.0])
    loss = np.asarray(missed(found, truth, mixture, mask="binary", rules=Rules()))[0, 0, 0]
    weight = np.log(5.0)
    stake = weight * np.array([0.9, 0.4, 0.9])
    balance = (0.4 + 0.9) / 0.9  # bins that should stay weigh 0.4 + 0.9, the one that should move 0.9
    expected = stake * [balance * -np.log(0.3), -np.log(0.5), -np.log(0.8)]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_m_r_of_ratio_masks_learns_the_share_that_the_sound_lacks():
    found = separation_of(
        masks=([0.75, 0.75, 0.75], [0.5, 0.5, 0.5]),
        before=([4.0, 4.0, 4.0], [1.0, 1.0, 1.0]),
        moved=([0.3, 0.3, 0.3],),
        remixes=([3.0, 3.0, 3.0],),
    )
    found = found._replace(incomplete=bins([3.0, 3.0, 3.0], [0.5, 0.5, 0.5]))
    mixture, truth = jnp.full((1, 1, 3), 4.0), bins([3.0, 4.0, 0.0], [1.25, 0.0, 4.0])
    loss = np.asarray(missed(found, truth, mixture, mask="ratio", rules=Rules()))[0, 0, 0]
    # It lacks 0.75 of 3, nothing, and more than there is.
    stake = np.log(5.0) * 0.75
    expected = [-(0.25 * np.log(0.3) + 0.75 * np.log(0.7)), -np.log(0.7), -np.log(0.3)]
    np.testing.assert_allclose(loss, stake * np.array(expected), rtol=1e-5)


def test_m_r_near_zero_learns_from_what_was_missed_and_not_from_the_sound():
    """Losses of the sound have no gradient there: a Plus-Net that gives nothing back would never learn to."""
    truth, mixture, logits = bins([2.0], [2.0]), jnp.full((1, 1, 1), 4.0), jnp.full((2, 1, 1, 1), -20.0)
    found = separation_of(([0.9], [0.5]), ([4.0], [0.4]), ([0.5],), ([3.6],))
    found = found._replace(incomplete=bins([3.6], [0.2]))

    def of_m_r(x):
        return jnp.sum(missed(found._replace(plus_logits=x), truth, mixture, mask="ratio", rules=Rules()))

    def of_sound(x):
        return jnp.sum(
            magnitude(found.incomplete + jax.nn.sigmoid(x) * found.remixes, truth, mixture, logarithmic=False)
        )

    assert float(jax.grad(of_m_r)(logits)[1, 0, 0, 0]) < -0.5
    assert abs(float(jax.grad(of_sound)(logits)[1, 0, 0, 0])) < 1e-6


def test_no_positive_bin_weighs_more_than_ten_times_as_much():
    count = 200
    found = separation_of(
        masks=([0.9] * count, [0.2] * count),
        before=([4.0] * count, [0.4] * count),
        moved=([0.5] * count,),
        remixes=([3.6] * count,),
    )
    truth = bins([4.0] * count, [4.0] + [0.0] * (count - 1))
    loss = np.asarray(missed(found, truth, jnp.full((1, 1, count), 4.0), mask="binary", rules=Rules()))[0, 0, 0]
    np.testing.assert_allclose(loss[0] / loss[1], 10.0, rtol=1e-5)


def test_only_m_r_learns_what_was_missed():
    def loss(fields):
        found = separation_of(([0.9, 0.4], [0.2, 0.8]), ([4.0, 4.0], [0.4, 2.4]), ([0.3, 0.5],), ([3.6, 1.6],))
        found = found._replace(**fields)
        return jnp.mean(
            missed(found, bins([1.0, 1.6], [3.0, 2.4]), jnp.full((1, 1, 2), 4.0), mask="binary", rules=Rules())
        )

    found = separation_of(([0.9, 0.4], [0.2, 0.8]), ([4.0, 4.0], [0.4, 2.4]), ([0.3, 0.5],), ([3.6, 1.6],))
    gradient = jax.grad(loss)({"mask_logits": found.mask_logits, "plus_logits": found.plus_logits})
    np.testing.assert_array_equal(gradient["mask_logits"], 0.0)
    assert np.isfinite(gradient["plus_logits"]).all()
    assert float(gradient["plus_logits"][1, 0, 0, 0]) < 0  # more of the missed bin


FFT, HOP, SAMPLES = 64, 16, 960


def spectra(waves):
    return librosa.stft(np.asarray(waves), n_fft=FFT, hop_length=HOP, window="hann", pad_mode="reflect")


@pytest.fixture(scope="module")
def problem():
    """Returns true waveforms (source, samples), and what the loss is given of them for a batch of one mixture."""
    rng = np.random.default_rng(0)
    time = np.arange(SAMPLES)
    tones = np.sin(2 * np.pi * np.array([[0.05], [0.16]]) * time) * np.hanning(SAMPLES) * [[1.0], [0.6]]
    waves = tones + 0.05 * rng.standard_normal(tones.shape)
    own = spectra(waves)
    mixture = own.sum(0)
    in_phase = np.real(own * np.conj(mixture)) / np.abs(mixture)
    axis = FrequencyAxis(np.arange(len(mixture)), np.eye(len(mixture)), np.eye(len(mixture)))
    of_batch = [jnp.asarray(x[None], jnp.float32) for x in (np.abs(mixture), np.abs(own), in_phase)]
    return waves, mixture, InPhase(*of_batch, axis)


def test_si_sdr_is_nearly_that_of_the_waveforms(problem):
    waves, mixture, truth = problem
    rng = np.random.default_rng(1)
    ideal = np.clip(truth.sources[0] / np.maximum(np.abs(mixture), 1e-6), 0.0, 1.0)
    noisy = np.clip(ideal + 0.3 * rng.uniform(-1, 1, ideal.shape), 0.0, 1.0)
    # The mixture itself is the spectrogram of a waveform, so only the ends differ. From another spectrogram the inverse
    # transform removes a part of the error that no waveform has.
    for share, least, most in ((np.ones_like(ideal), -0.2, 0.2), (ideal, 0.0, 2.0), (noisy, 0.0, 4.0)):
        sounds = librosa.istft(share * mixture, hop_length=HOP, n_fft=FFT, window="hann", length=SAMPLES)
        found = si_sdr(jnp.asarray(share[:, None]), jnp.array([[0], [1]]), truth)
        gained = of_waveforms(waves, sounds) + 10 * np.asarray(found[:, 0])
        assert np.all((gained > least) & (gained < most)), gained


def test_si_sdr_follows_the_order_of_the_steps_and_not_the_level(problem):
    _, mixture, truth = problem
    share = jnp.clip(truth.sources[0] / np.maximum(np.abs(mixture), 1e-6), 0.0, 1.0)[:, None]
    straight = si_sdr(share, jnp.array([[0], [1]]), truth)
    np.testing.assert_allclose(si_sdr(share[::-1], jnp.array([[1], [0]]), truth), straight[::-1], rtol=1e-5)
    np.testing.assert_allclose(si_sdr(0.5 * share, jnp.array([[0], [1]]), truth), straight, rtol=1e-4)


def test_si_sdr_is_bounded_and_a_silent_source_wants_silence(problem):
    _, _, truth = problem
    silent = truth._replace(sources=truth.sources.at[0, 1].set(0.0), in_phase=truth.in_phase.at[0, 1].set(0.0))
    nothing, everything = jnp.zeros((2, 1, *truth.mixture.shape[1:])), jnp.ones((2, 1, *truth.mixture.shape[1:]))
    order = jnp.array([[0], [1]])
    np.testing.assert_allclose(si_sdr(nothing, order, silent)[:, 0], [3.0, 0.0], atol=1e-3)
    assert float(si_sdr(everything, order, silent)[1, 0]) == pytest.approx(3.0, abs=1e-2)
    of_silence = truth._replace(**{name: 0 * getattr(truth, name) for name in ("mixture", "sources", "in_phase")})
    for share in (nothing, everything):
        slope = jax.grad(lambda x: jnp.sum(si_sdr(x, order, of_silence)))(share)
        assert np.isfinite(slope).all()
