import pytest

from mpnet_jax.report.sections import differences
from tests.report.conftest import estimate
from tests.support.report_structure import Structure


@pytest.mark.parametrize(
    ("metric", "interval", "said"),
    [
        ("nsdr", [0.1, 0.5], "better"),
        ("nsdr", [-0.5, -0.1], "worse"),
        ("nsdr", [-0.1, 0.1], "open"),
        ("sar", [0.0, 1.0], "open"),
        ("amid", [0.1, 0.5], "worse"),
        ("amid", [-0.5, -0.1], "better"),
        ("nsdr", None, ""),
    ],
)
def test_which_way_is_better(metric, interval, said):
    assert differences.verdict(metric, {"mean": 0.3, "ci95": interval, "count": 9}) == said


def test_pairs_are_printed_with_names():
    assert differences.pair_name("mpnet - mnet") == "MP-Net \N{MINUS SIGN} M-Net"
    assert differences.pair_name("mpnet - other") == "MP-Net \N{MINUS SIGN} other"
    assert differences.pair_name("odd") == "odd"


def test_table_and_forests():
    pairs = {
        "A": {"nsdr": estimate(1.0, count=7), "amid": estimate(2.0, count=7)},
        "B": {"nsdr": estimate(0.2)},
        "C": None,
    }
    table = differences.table(pairs, caption="Differences")
    words = " ".join(Structure(table).words)
    assert "first better" in words and "second better" in words and "not told apart" in words
    assert 'data-value="1"' in table and 'data-value="7"' in table
    forests = differences.forests(pairs)
    Structure(forests)
    assert forests.count("<figure") == 2
    nsdr, amid = forests.split("<figure")[1:]
    assert nsdr.index("second better") < nsdr.index("first better")
    assert amid.index("first better") < amid.index("second better")
    assert nsdr.count('class="dot better"') == 1 and nsdr.count('class="dot open"') == 1


def test_nothing_to_compare():
    assert differences.table({}, caption="x") == ""
    assert differences.forests({"A": {"nsdr": None}}) == ""
