"""What the early stop saves: a batch whose samples all end after the first of six steps, beside a full one."""

import pytest

from benchmarks.early_stop import SIZES, all_seconds, programs, ratio

# A sixth of the networks' work, with the P-Net an eleventh; the rest is left to a busy machine.
LARGEST_RATIO = 0.35


@pytest.mark.parametrize(
    ("size", "with_plus"),
    [
        pytest.param("quickstart", False, marks=pytest.mark.slow),
        pytest.param("quickstart", True, marks=pytest.mark.slow),
        pytest.param("full", False, marks=pytest.mark.slow),
        pytest.param("full", True, marks=pytest.mark.slow),
    ],
)
def test_steps_after_the_end_cost_next_to_nothing(size, with_plus):
    get_config, batch_size = SIZES[size]
    runs = programs(get_config(), batch_size, with_plus=with_plus, ways=("skipping",))
    # Both batches run the same program and take turns: what slows the machine slows both.
    assert ratio(all_seconds(runs, repeats=3), "ended", "skipping") <= LARGEST_RATIO
