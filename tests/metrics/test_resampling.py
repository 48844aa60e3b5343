"""Intervals over seeds and videos: by hand, by simulation, and what pairing buys."""

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
    """Of three seeds: effects of the seed and of both videos, and some noise."""
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


def test_the_draws_spread_as_repeated_studies_do():
    # Seeds and videos anew in each study. How far its mean then lies from the truth is known: each seed's effect has a
    # third of the weight, each video's its share of the mixtures.
    rng = np.random.default_rng(1)
    ids, spreads = pairs(rng), []
    for study in range(200):
        samples = samples_of(rng, ids, seed_spread=0.5, videos=effects(rng, 0.7))
        spreads.append(Draws(range(3), VIDEOS, resamples=400, seed=study).mean(samples).means.var())
    shares = np.array([sum(video in row for row in ids) for video in VIDEOS]) / len(ids)
    variance = 0.5**2 / 3 + 0.7**2 * np.sum(shares**2) + 0.5**2 / (3 * len(ids))
    assert np.mean(spreads) == pytest.approx(variance, rel=0.1)


def test_n_of_n_seeds_would_promise_too_much():
    rng = np.random.default_rng(2)
    ids = pairs(rng, 20)
    means = [0.0, 1.0, 2.0]
    samples = {seed: Sample(np.full(20, mean), ids) for seed, mean in enumerate(means)}
    drawn = Draws(range(3), VIDEOS, resamples=40_000).mean(samples)
    assert drawn.means.var() == pytest.approx(np.var(means, ddof=1) / 3, rel=0.02)


def test_paired_differences_forget_what_both_share():
    rng = np.random.default_rng(3)
    ids = pairs(rng)
    videos = effects(rng, 3.0)
    first, second = (samples_of(rng, ids, seed_spread=0.05, videos=videos, offset=offset) for offset in (0.3, 0.0))
    draws = Draws(range(3), VIDEOS)
    difference = paired(first, second, draws).estimate()
    assert difference["ci95"][0] > 0
    by_means = (draws.mean(first) - draws.mean(second)).estimate()
    np.testing.assert_allclose(by_means["ci95"], difference["ci95"], atol=1e-9)  # the same draws
    low, high = draws.mean(first).estimate()["ci95"]
    assert high - low > 5 * (difference["ci95"][1] - difference["ci95"][0])


def test_what_either_leaves_out_is_left_out():
    ids = [("a", "b"), ("b", "c"), ("a", "c")]
    first = {0: Sample(np.array([1.0, np.nan, 3.0]), ids)}
    second = {0: Sample(np.array([0.0, 0.0, np.inf]), ids)}
    draws = Draws([0], ["a", "b", "c"])
    assert paired(first, second, draws).count == 1
    assert draws.mean({0: Sample(np.full(3, np.nan), ids)}) is None
    assert (draws.mean(first) - 0.5).mean == 1.5


def test_an_interval_stays_within_what_is_possible():
    ids = [("a",), ("b",), ("c",), ("d",)]
    drawn = Draws([0], list("abcd")).mean({0: Sample(np.array([1.0, 1.0, 1.0, 0.0]), ids)})
    assert drawn.estimate(low=0.0, high=1.0)["ci95"][1] <= 1.0
