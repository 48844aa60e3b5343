"""Tests of the tables in results.md and on the page."""

import re

from mpnet_jax.comparison.report.markdown import markdown
from mpnet_jax.comparison.report.page import grid_page
from tests.support.report_structure import Structure


def test_markdown_keeps_published_numbers_apart(made) -> None:
    _, _, found = made
    page = markdown(found)
    ours, _, rest = page.partition("## Published")
    assert "not comparable" in rest.splitlines()[0]
    assert "| MP-Net | ratio | 7.00 | 10.39 | 15.31 | 13.36 | 5.75 |" in rest and "15.31" not in ours
    assert "| method | mask | trained on | seeds | NSDR | SIR | SAR | AMID |" in ours
    for part in ("far set", "What the paper observed", "Ablations", "Count of the sounds"):
        assert f"{part}" in ours
    for line in page.splitlines():
        if line.startswith("|"):
            assert "nan" not in line.lower() and "None" not in line


def test_tables_have_baselines_and_notes(made) -> None:
    _, _, found = made
    page = markdown(found)
    lines = page.splitlines()
    test, far = (page.index(f"## {head}") for head in ("Separation", "The same on the far set"))
    assert test < page.index("MIML's class network learns from the labels") < far
    assert any("PixelPlayer separates better than MIML (NSDR)" in line for line in lines)
    for part in (page[test:far], page[far:]):
        assert "| Mixture |  | mix-2 |  | 0.00 | -1.00 [-1.00, -1.00] |  | -1.00 [-1.00, -1.00] |" in part
        assert "| Oracle masks | binary | mix-3 |  | 20.00 [20.00, 20.00] | " in part
    assert not any("than MIML, told" in line for line in lines)  # not a method of the paper but an upper bound
    assert any(line.startswith("| MIML, told the classes | none | mix-3 | 3 | ") for line in lines)
    assert any(line.startswith("| M-Net, trained longer | ratio | mix-2 | 3 | ") for line in lines)
    assert any(line.startswith("| MP-Net \N{MINUS SIGN} M-Net, trained longer | ") for line in lines)
    assert {"NSDR", "oracle", "AMID", "BSS Eval", "MIML", "intervals"} <= set(found["definitions"])
    assert "Student's t" in found["definitions"]["intervals"]


def test_ablations_have_rows_of_their_scores_and_differences(made) -> None:
    _, _, found = made
    page = markdown(found)
    scores, without, over = (
        page.index(part)
        for part in ("With one seed", "to the same method without the change", "to the M-Net whose networks")
    )
    row = "| MP-Net | sum | 0, 1 | `loss.plus=sum` | mix2 |"
    assert row in page[scores:without] and row in page[without:over] and row in page[over:]
    assert "| MP-Net | default | 0, 1 |  | mix2 |" in page[over:]
    assert "| default |" not in page[without:over]


def test_the_page_has_the_numbers_of_the_tables(made) -> None:
    _, _, found = made
    page = "".join(Structure(grid_page(found)).words).replace("\N{MINUS SIGN}", "-")
    intervals = {
        found.groups() for found in re.finditer(r"(-?\d+\.\d+) \[(-?\d+\.\d+), (-?\d+\.\d+)\]", markdown(found))
    }
    assert len(intervals) > 100
    for mean, low, high in intervals:
        assert f"{mean}{low} to {high}" in page
