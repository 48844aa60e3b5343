"""Compares the time of a batch that ends after the first of six steps with that of a batch that runs all steps."""

import pytest

from benchmarks.early_stop import SIZES, all_seconds, programs, ratio

# The first step makes 1 of 6 network calls (1 of 11 with the Plus-Net); the margin allows for a busy machine.
LARGEST_RATIO = 0.35


@pytest.mark.parametrize(
    ("size", "with_plus"),
    [
        pytest.param("small_resnet", False, marks=pytest.mark.slow),
        pytest.param("small_resnet", True, marks=pytest.mark.slow),
        pytest.param("full", False, marks=pytest.mark.slow),
        pytest.param("full", True, marks=pytest.mark.slow),
    ],
)
def test_skipped_steps_save_time(size, with_plus):
    get_config, batch_size = SIZES[size]
    runs = programs(get_config(), batch_size, with_plus=with_plus, ways=("skipping",))
    # Both batches run the same program in turn, so other load on the machine slows both.
    assert ratio(all_seconds(runs, repeats=3), "ended", "skipping") <= LARGEST_RATIO
