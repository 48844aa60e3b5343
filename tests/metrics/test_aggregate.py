import json

import numpy as np
import pytest

from mpnet_jax.metrics.aggregate import count_left_out, mixture_means, summarise


def pairs_of_videos(rng, videos, mixtures):
    return [tuple(map(str, rng.choice(videos, 2, replace=False))) for _ in range(mixtures)]


def test_mean_and_count_leave_out_what_is_not_finite():
    ids = [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h")]
    result = summarise(np.array([1.0, np.nan, 3.0, np.inf]), ids)
    assert result["mean"] == 2.0
    assert result["count"] == 2
    assert result["ci95"] == [1.0, 3.0]
    json.dumps(result, allow_nan=False)


def test_nothing_valid_or_no_spread():
    assert summarise(np.array([np.nan]), [("a",)]) == {"mean": None, "ci95": None, "count": 0}
    assert summarise(np.zeros(0), []) == {"mean": None, "ci95": None, "count": 0}
    one_pair = summarise(np.array([1.0, 3.0]), [("a", "b"), ("b", "a")])
    assert one_pair == {"mean": 2.0, "ci95": None, "count": 2}


def test_a_draw_moves_the_mean_in_first_order():
    # Two mixtures over three videos: enumerates all 27 draws and compares the quantiles.
    values, ids = np.array([0.0, 1.0]), [("a", "b"), ("b", "c")]
    moved = []
    for draw in np.ndindex(3, 3, 3):
        a, b, c = (draw.count(video) for video in range(3))
        weights = np.array([1 + (a - 1) + (b - 1), 1 + (b - 1) + (c - 1)])
        moved.append(0.5 + weights @ (values - 0.5) / 2)
    low, high = np.clip(np.quantile(moved, [0.025, 0.975], method="inverted_cdf"), 0, 1)
    assert summarise(values, ids, resamples=40_000)["ci95"] == pytest.approx([low, high], abs=1e-12)


@pytest.mark.parametrize("sounds", [3, 5])
def test_more_videos_per_mixture_do_not_inflate_the_interval(sounds):
    # The videos have no effect on the values, so the true standard error is 1 / sqrt(200).
    rng = np.random.default_rng(1)
    ids = [tuple(map(str, rng.choice(30, sounds, replace=False))) for _ in range(200)]
    low, high = summarise(rng.standard_normal(200), ids)["ci95"]
    assert 1.0 < (high - low) / (2 * 1.96 / np.sqrt(200)) < 1.3 * np.sqrt(sounds)


def test_the_order_of_the_mixtures_does_not_change_the_result():
    rng = np.random.default_rng(2)
    values, ids = rng.standard_normal(50), pairs_of_videos(rng, 12, 50)
    order = rng.permutation(50)
    assert summarise(values[order], [ids[i][::-1] for i in order]) == summarise(values, ids)


def test_shared_videos_widen_the_interval():
    rng = np.random.default_rng(3)
    effect = rng.standard_normal(20)
    ids = pairs_of_videos(rng, 20, 400)
    values = np.array([effect[int(a)] + effect[int(b)] for a, b in ids]) + 0.1 * rng.standard_normal(400)
    shared = summarise(values, ids)["ci95"]
    naive = summarise(values, [(str(index),) for index in range(400)])["ci95"]
    assert shared[1] - shared[0] > 2 * (naive[1] - naive[0])


def test_the_interval_covers_the_truth():
    rng = np.random.default_rng(7)
    covered = 0
    for trial in range(100):
        effect = rng.standard_normal(30)
        ids = pairs_of_videos(rng, 30, 60)
        values = np.array([effect[int(a)] + effect[int(b)] for a, b in ids]) + rng.standard_normal(60)
        low, high = summarise(values, ids, seed=trial, resamples=300)["ci95"]
        covered += low < 0.0 < high
    # 95 of 100 are nominal. Counting noise once for each video widens the intervals, and percentiles over few videos
    # narrow them. 88 is three standard errors below.
    assert covered >= 88


def test_the_interval_depends_on_the_seed_alone():
    rng = np.random.default_rng(0)
    values, ids = rng.standard_normal(30), pairs_of_videos(rng, 10, 30)
    assert summarise(values, ids, seed=1) == summarise(values, ids, seed=1)
    assert summarise(values, ids, seed=1)["ci95"] != summarise(values, ids, seed=2)["ci95"]


def test_mixtures_of_different_sizes_and_repeated_videos():
    values = np.array([1.0, 2.0, 3.0])
    result = summarise(values, [("a",), ("b", "b"), ("a", "b", "c")])
    assert result == summarise(values, [("a",), ("b",), ("a", "b", "c")])
    assert result["ci95"][0] >= 1.0


def test_a_missing_value_leaves_the_mixture_out():
    values = np.array([[1.0, 3.0], [np.nan, 4.0], [5.0, np.inf]])
    reasons = np.array([["", ""], ["silent estimate", ""], ["", ""]], dtype=object)
    means, of_mixtures = mixture_means(values, reasons)
    np.testing.assert_array_equal(means, [2.0, np.nan, np.nan])
    assert of_mixtures == ("", "silent estimate", "not finite")
    assert mixture_means(values)[1] == ("", "not finite", "not finite")
    assert count_left_out([*of_mixtures, "not finite"]) == {"not finite": 2, "silent estimate": 1}
    assert count_left_out([]) == {}


def test_input_that_does_not_fit():
    with pytest.raises(ValueError, match="give one of each a mixture"):
        summarise(np.ones(2), [("a",)])
    with pytest.raises(ValueError, match="give one of each a mixture"):
        summarise(np.ones((2, 1)), [("a",), ("b",)])
    with pytest.raises(ValueError, match="mixture 1 names no video"):
        summarise(np.ones(2), [("a",), ()])
    with pytest.raises(ValueError, match="resamples=0 must be at least 1"):
        summarise(np.ones(1), [("a",)], resamples=0)
    with pytest.raises(ValueError, match=r"values has shape \(3,\)"):
        mixture_means(np.ones(3))
    with pytest.raises(ValueError, match="give \\(mixture, source\\) for both"):
        mixture_means(np.ones((3, 2)), np.full((2, 2), ""))
