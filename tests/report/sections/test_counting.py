from mpnet_jax.report.sections import counting
from tests.support.report_structure import Structure


def test_both_modes_side_by_side(rich_summary):
    section = counting.section(rich_summary["counting"])
    words = " ".join(" ".join(Structure(section).words).split())
    assert section.count("<figure") == 2
    assert "75.0 % right (25.0 to 125.0 %); always 2 is right in 25.0 %" in words
    assert "chosen on validation" in words and "noise, \N{MINUS SIGN}40 dBFS" in words
    clips, pixels = section.split("<figure")[1:]
    # Six rows, and the noise, for which the right answer is 0.
    assert clips.count('class="diagonal"') == 7 and pixels.count('class="diagonal"') == 6
    # The row of three sources: 8 right of 14.
    assert 'class="diagonal" style="--heat:0.57">57<small>8</small>' in clips
    assert "chosen 0.05" in clips


def test_parts_may_be_missing():
    assert counting.section(None) == counting.section({"tuned_on": "validation"}) == ""
    section = counting.section({"pixels": {"confusion": [[3, 1], [0, 4]]}})
    Structure(section)
    assert "By pixels" in section and "By clips" not in section and "right in" not in section
    assert section.count('class="diagonal"') == 2


def test_rows_of_several_runs(rich_summary):
    rows = [("run <a>", mode, values) for mode, values in counting.modes_of(rich_summary["counting"]).items()]
    table = counting.table([*rows, ("b", "By clips", {})])
    Structure(table)
    assert "run &lt;a&gt;" in table and "always 2" in table and 'data-value="0.05"' in table
    assert counting.table([]) == ""
