from mpnet_jax.report.sections import robustness
from tests.report.conftest import estimate
from tests.support.report_structure import Structure


def test_methods_come_before_baselines(rich_summary):
    section = robustness.section(rich_summary["mixes"])
    found = Structure(section)
    assert section.count("<svg") == 4
    heads = [" ".join(cell.split()) for cell in section.split('<th scope="row"')[1:]]
    assert [head.partition(">")[2].partition("<")[0] for head in heads[:4]] == [
        "MP-Net",
        "M-Net",
        "Mixture",
        "Oracle masks",
    ]
    assert len(found.all("tr")) == 1 + 4 * 4
    # The mixture's NSDR is 0 and drawn; its SAR of 150 dB would flatten the curves.
    assert [card.count('class="reference"') for card in section.split("<svg")[1:]] == [1, 0, 0, 0]


def test_one_number_of_sounds_is_a_table_only():
    section = robustness.section({"2": {"mpnet": {"nsdr": estimate(5.0)}}})
    assert "<svg" not in section and "MP-Net" in section


def test_invalid_results_are_ignored():
    mixes = {"3": {"mpnet": {"nsdr": estimate(5.0)}, "mnet": 3}, "x": {"mpnet": {}}, "4": None}
    assert robustness.by_method(mixes) == {"mpnet": {3: {"nsdr": estimate(5.0)}}}
    assert robustness.section(None) == robustness.section({}) == ""
