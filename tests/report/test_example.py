import numpy as np
import pytest

from mpnet_jax.report.example import choose_examples


def test_best_median_and_worst():
    nsdr = np.array([4.0, 1.0, np.nan, 9.0, 6.0, 2.0, -3.0])
    assert choose_examples(nsdr, 3) == [(3, "best"), (0, "median"), (6, "worst")]
    assert choose_examples(nsdr, 1) == [(0, "median")]
    assert choose_examples(nsdr, 2) == [(3, "best"), (6, "worst")]
    assert choose_examples(nsdr, 0) == []


@pytest.mark.parametrize("count", range(14))
def test_no_mixture_is_shown_twice(count):
    nsdr = np.random.default_rng(0).standard_normal(9)
    chosen = choose_examples(nsdr, count)
    indices = [index for index, _ in chosen]
    assert len(set(indices)) == len(indices) == min(count, 9)
    assert list(nsdr[indices]) == sorted(nsdr[indices], reverse=True)


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="count=-1 must not be negative"):
        choose_examples(np.zeros(3), -1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": np.zeros((2, 24, 21))}, r"mask has shape \(2, 24, 21\); .* ask for \(2, 24, 20\)"),
        ({"true_waveform": np.zeros((2, 3))}, r"true_waveform has shape \(2, 3\)"),
        ({"row_hz": np.zeros(3)}, r"row_hz has shape \(3,\); .* ask for \(24,\)"),
        ({"classes": ["cello"]}, r"frames has shape \(2, 32, 40, 3\); 1 classes"),
        ({"video_ids": ["a"]}, "video_ids has 1 entries; 2 classes need as many"),
        ({"rate_hz": 0}, "rate_hz=0 and hop_seconds=0.025 must be positive"),
        ({"heat": np.zeros((3, 4, 4))}, r"heat has shape \(3, 4, 4\); 2 classes ask for \(2, rows, cols\)"),
        ({"heat": np.zeros((2, 0, 4))}, r"heat has shape \(2, 0, 4\)"),
        ({"frames": np.zeros((2, 0, 4, 3), np.uint8)}, "'Best: mixture 17' has an empty axis"),
    ],
)
def test_arrays_of_other_shapes_are_refused(make_example, changes, message):
    with pytest.raises(ValueError, match=message):
        make_example(**changes)
