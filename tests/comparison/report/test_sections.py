"""Tests of the tables in results.md and on the page."""

import json
import re

from mpnet_jax.comparison.report.markdown import markdown
from mpnet_jax.comparison.report.page import grid_page
from tests.support.report_structure import Structure
from tests.support.repository import ROOT


def test_markdown_keeps_published_numbers_apart(made) -> None:
    _, _, found = made
    page = markdown(found, ["figures/trained_on_2.png"])
    ours, _, rest = page.partition("## Published")
    assert "not comparable" in rest.splitlines()[0]
    assert "| MP-Net | ratio | 7.00 | 10.39 | 15.31 | 13.36 | 5.75 |" in rest and "15.31" not in ours
    heads = (
        "| method | mask | mix-2 seeds | mix-2 NSDR | mix-2 SIR | mix-2 SAR | mix-2 AMID | mix-3 seeds | mix-3 NSDR |"
    )
    assert heads in ours
    assert "![figures/trained_on_2.png](figures/trained_on_2.png)" in ours
    for part in ("far set", "What the paper observed", "Ablations", "Learning rates", "Count of the sounds"):
        assert f"{part}" in ours
    for line in page.splitlines():
        if line.startswith("|"):
            assert "nan" not in line.lower() and "None" not in line


def test_tables_have_baselines_notes_and_counts(made) -> None:
    _, _, found = made
    page = markdown(found, [])
    lines = page.splitlines()
    test, far = (page.index(f"## {head}") for head in ("Separation", "The same on the far set"))
    assert test < page.index("MIML's class network learns from the labels") < far
    assert any("PixelPlayer separates better than MIML (NSDR)" in line for line in lines)
    for part in (page[test:far], page[far:]):
        assert "| Mixture |  |  | 0.00 | -1.00 [-1.00, -1.00] |  | -1.00 [-1.00, -1.00] |  | 0.00 | -1.00 " in part
        assert "| Oracle masks | binary |  | 20.00 [20.00, 20.00] | " in part
    assert not any("than MIML, told" in line for line in lines)  # not a method of the paper but an upper bound
    assert any(line.startswith("| MIML, told the classes | none | 3 | ") for line in lines)
    # Three seeds with twelve mixtures each, one of them silent; the far set is the same here.
    row = "| MIML | none | mix-3 | 36 | 3 silent estimate | 0 | {} | 36 | 3 silent estimate | 0 | {} |"
    medians = [found["entries"]["miml-none-mix3"]["mixtures"][part]["sar_median"] for part in ("test", "far")]
    assert row.format(*(f"{median:.2f}" for median in medians)) in lines
    assert {"NSDR", "oracle", "AMID", "BSS Eval", "MIML", "intervals"} <= set(found["definitions"])
    assert "Student's t" in found["definitions"]["intervals"]


def test_rates_that_are_edges_or_not_yet_tried(made) -> None:
    _, _, found = made
    rates = {"miml": {"0.001": None, "0.003": 2.0}, "mnet": {"0.001": 4.0}}
    page = markdown(found | {"rates": rates, "rates_at_edge": {"miml": "highest"}}, [])
    assert "| MIML | failed | **2.00** | highest |" in page and "| M-Net | **4.00** |  |  |" in page
    assert "highest" in grid_page(found | {"rates": rates, "rates_at_edge": {"miml": "highest"}})


def test_ablations_have_rows_of_their_scores_and_differences(made) -> None:
    _, _, found = made
    lines = markdown(found, []).splitlines()
    assert sum(line.startswith("| original (3 seeds) \N{MINUS SIGN} default |") for line in lines) == 1
    head = "| MP-Net \N{MINUS SIGN} M-Net of round one | at steps | mix2 NSDR | mix2 SIR | mix2 SAR | mix2 AMID |"
    assert sum(line.startswith(head) for line in lines) == 1
    assert sum(line.startswith("| default | 30 \N{MINUS SIGN} 20 | ") for line in lines) == 1
    words = Structure(grid_page(found)).words
    place = words.index("original (3 seeds) \N{MINUS SIGN} default")
    assert words[place + 1] == "mix2"


def test_committed_results_are_reproduced_and_the_page_has_their_numbers() -> None:
    folder = ROOT / "results" / "rendered"
    found = json.loads((folder / "results.json").read_text())
    text = (folder / "results.md").read_text()
    assert markdown(found, [f"figures/trained_on_{sources}.png" for sources in (2, 3)]) == text
    page = "".join(Structure(grid_page(found)).words).replace("\N{MINUS SIGN}", "-")
    # The page shows shares, which lie between 0 and 1, in percent.
    intervals = {found.groups() for found in re.finditer(r"(-?\d+\.\d+) \[(-?\d+\.\d+), (-?\d+\.\d+)\]", text)}
    assert len(intervals) > 500
    for mean, low, high in intervals:
        assert f"{mean}{low} to {high}" in page or 0.0 <= float(low) <= float(high) <= 1.0
