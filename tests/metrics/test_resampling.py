"""Tests of intervals over seeds and videos, by hand and by simulation, and of paired differences."""

import numpy as np
import pytest

from mpnet_jax.metrics.aggregate import summarise
from mpnet_jax.metrics.resampling import Draws, Sample, paired

VIDEOS = [f"v{index}" for index in range(30)]


def pairs(rng, count=200):
    return [tuple(rng.choice(VIDEOS, 2, replace=False).tolist()) for _ in range(count)]


def effects(rng, spread):
    return dict(zip(VIDEOS, spread * rng.standard_normal(len(VIDEOS)), strict=True))


def samples_of(rng, ids, *, seed_spread, videos, offset=0.0):
    """Returns samples of three seeds: the sum of a seed effect, the effects of both videos, and noise."""
    of_mixture = offset + np.array([videos[a] + videos[b] for a, b in ids])
    noise = rng.standard_normal((3, len(ids)))
    return {
        seed: Sample(of_mixture + seed_spread * rng.standard_normal() + 0.5 * noise[seed], ids) for seed in range(3)
    }


def test_the_mean_is_over_seeds_of_means_over_valid_mixtures():
    samples = {
        0: Sample(np.array([1.0, 3.0, np.nan]), [("a", "b"), ("b", "c"), ("a", "c")]),
        1: Sample(np.array([5.0, 5.0, 8.0]), [("a", "b"), ("b", "c"), ("a", "c")]),
    }
    drawn = Draws([0, 1], ["a", "b", "c"]).mean(samples)
    assert (drawn.mean, drawn.count, drawn.seeds) == (4.0, 5, 2)


def test_one_seed_is_the_interval_over_videos():
    rng = np.random.default_rng(0)
    ids, values = pairs(rng), rng.standard_normal(200)
    drawn = Draws([7], VIDEOS, resamples=20_000).mean({7: Sample(values, ids)}).estimate()
    alone = summarise(values, ids, resamples=20_000)
    assert drawn["mean"] == pytest.approx(alone["mean"], abs=1e-12)
    np.testing.assert_allclose(drawn["ci95"], alone["ci95"], atol=0.01)


@pytest.mark.parametrize(("seed_spread", "video_spread"), [(0.5, 0.0), (0.5, 0.5), (0.05, 0.7)])
def test_the_intervals_cover_the_truth_as_often_as_they_say(seed_spread, video_spread):
    # Each study has new seeds and videos; the true mean is 0. Seeds drawn with replacement would give 81 %.
    rng = np.random.default_rng(1)
    ids, studies = pairs(rng, 60), 400
    bounds = [
        Draws(range(3), VIDEOS, resamples=1000, seed=study)
        .mean(samples_of(rng, ids, seed_spread=seed_spread, videos=effects(rng, video_spread)))
        .estimate()["ci95"]
        for study in range(studies)
    ]
    covered = np.mean([low <= 0.0 <= high for low, high in bounds])
    assert 0.95 - 2.5 * np.sqrt(0.05 * 0.95 / studies) < covered < 0.99


@pytest.mark.parametrize(("means", "quantile"), [([0.0, 1.0], 12.706), ([0.0, 1.0, 3.0], 4.303), (range(5), 2.776)])
def test_seeds_alone_give_students_t(means, quantile):
    # The 97.5 % quantiles of Student's t with n - 1 degrees of freedom are from tables.
    ids = pairs(np.random.default_rng(2), 20)
    samples = {seed: Sample(np.full(20, float(mean)), ids) for seed, mean in enumerate(means)}
    estimate = Draws(range(len(means)), VIDEOS, resamples=100_000).mean(samples).estimate()
    reach = quantile * np.std(means, ddof=1) / np.sqrt(len(means))
    low, high = estimate["ci95"]
    assert (np.mean(means) - low, high - np.mean(means)) == pytest.approx((reach, reach), rel=0.05)


def test_the_draws_of_seeds_are_shared():
    # If the seeds have the same effect on both methods, their difference has no spread.
    ids = pairs(np.random.default_rng(3), 20)
    draws = Draws(range(3), VIDEOS)
    first, second = (
        draws.mean({seed: Sample(np.full(20, effect + offset), ids) for seed, effect in enumerate([0.0, 2.0, -1.0])})
        for offset in (1.0, 0.0)
    )
    np.testing.assert_allclose((first - second).means, 1.0, atol=1e-9)


def test_pairing_removes_shared_effects():
    rng = np.random.default_rng(3)
    ids = pairs(rng)
    videos = effects(rng, 3.0)
    first, second = (samples_of(rng, ids, seed_spread=0.05, videos=videos, offset=offset) for offset in (1.0, 0.0))
    draws = Draws(range(3), VIDEOS)
    difference = paired(first, second, draws).estimate()
    assert difference["ci95"][0] > 0
    by_means = (draws.mean(first) - draws.mean(second)).estimate()
    np.testing.assert_allclose(by_means["ci95"], difference["ci95"], atol=1e-9)  # Both use the same draws.
    low, high = draws.mean(first).estimate()["ci95"]
    assert high - low > 5 * (difference["ci95"][1] - difference["ci95"][0])


def test_mixtures_that_either_leaves_out_are_left_out():
    ids = [("a", "b"), ("b", "c"), ("a", "c")]
    first = {0: Sample(np.array([1.0, np.nan, 3.0]), ids)}
    second = {0: Sample(np.array([0.0, 0.0, np.inf]), ids)}
    draws = Draws([0], ["a", "b", "c"])
    assert paired(first, second, draws).count == 1
    assert draws.mean({0: Sample(np.full(3, np.nan), ids)}) is None
    assert (draws.mean(first) - 0.5).mean == 1.5


def test_an_interval_is_clipped_to_its_range():
    ids = [("a",), ("b",), ("c",), ("d",)]
    drawn = Draws([0], list("abcd")).mean({0: Sample(np.array([1.0, 1.0, 1.0, 0.0]), ids)})
    assert drawn.estimate(low=0.0, high=1.0)["ci95"][1] <= 1.0
