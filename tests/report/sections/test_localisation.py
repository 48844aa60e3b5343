from mpnet_jax.report.sections import localisation
from tests.support.report_structure import Structure


def test_a_table_for_each_scene(rich_summary):
    section = localisation.section(rich_summary["localisation"], "<p>frames</p>")
    found = Structure(section)
    words = " ".join(" ".join(found.words).split())
    assert len(found.all("table")) == 2
    assert "One player, 50 scenes" in words and "covers 20 % of the frame on average, at most 30 %" in words
    assert "70.0 %" in words and "0.40" in words
    one, two = section.split("<table")[1:]
    assert "Right player" not in one.split("</table>")[0] and "Right player" in two
    assert "AUC" not in one.split("</table>")[0]
    assert section.endswith("<p>frames</p>")


def test_several_runs_share_one_table(rich_summary):
    scenes = localisation.scenes_of(rich_summary["localisation"])
    table = localisation.table([("a", scenes[0]), ("<b>", scenes[1])])
    found = Structure(table)
    assert len(found.all("tr")) == 1 + 2 + 3
    assert "&lt;b&gt;" in table
    assert localisation.table([]) == ""


def test_without_numbers_only_the_frames():
    assert localisation.section(None, "") == ""
    assert localisation.section([{"scene": "one player"}, 3], "frames") == "frames"
