import html
import os
import re

import numpy as np
import pytest

from mpnet_jax.report import page
from mpnet_jax.report.page import write_report
from mpnet_jax.report.sections import tables
from tests.support.report_structure import Structure, read


def test_the_complete_page(tmp_path, summary, make_example):
    examples = [make_example(), make_example(sources=3, title="Worst: mixture 2")]
    index = write_report(tmp_path / "report", summary=summary, examples=examples)
    assert index == tmp_path / "report" / "index.html"
    found = read(index)
    linked = {tag["src"] for name in ("img", "audio") for tag in found.all(name)}
    written = {f"media/{entry.name}" for entry in (tmp_path / "report" / "media").iterdir()}
    assert linked == written
    # Each mixture has a picture and a sound, each source a frame, four pictures and two sounds.
    assert len(found.all("img")) == 2 + 5 * 5
    assert len(found.all("audio")) == 2 + 5 * 2
    assert all(tag["alt"] for tag in found.all("img"))
    assert all(tag["preload"] == "metadata" and tag["aria-label"] for tag in found.all("audio"))
    assert [name for name, _ in found.tags if name in ("h1", "main")] == ["h1", "main"]
    words = " ".join(" ".join(found.words).split())
    for expected in ("5.50", "5.00 to 6.00", "Oracle masks", "Swapped pictures", "silent reference"):
        assert expected in words
    assert "lower is better" in words and "configs/a.py" in words and "\u22121.25" in words


def test_nothing_is_fetched_from_a_network(tmp_path, summary, make_example):
    source = write_report(tmp_path / "r", summary=summary, examples=[make_example()]).read_text("utf-8")
    assert not re.findall(r"https?://|//[a-z]+\.|@import|url\(", source)


def test_heads_of_the_mixture_table_can_sort(tmp_path, summary):
    found = read(write_report(tmp_path / "r", summary=summary, examples=[]))
    sortable = [tag for tag in found.all("th") if "data-sort" in tag]
    assert [tag["aria-sort"] for tag in sortable] == ["ascending"] + ["none"] * 8
    assert [tag["data-sort"] for tag in sortable] == ["number", "text", "text"] + ["number"] * 6
    # Means over the sources; the mixture that lacks a source's value has none.
    values = [tag.get("data-value") for tag in found.all("td") if tag.get("data-value") != ""]
    assert {"3.5000", "-3.5000", "7.5000"} <= set(values)


def test_text_is_escaped_everywhere(tmp_path, summary, make_example, make_place):
    evil = "<script>alert('x')</script>\"&"
    summary["run"] = {key: evil for key in ("config", "method", "commit", "machine", "date", "command", evil)}
    summary["definitions"] = {evil: evil}
    summary["left_out"] = {evil: 1}
    summary["mixtures"][0] |= {"classes": [evil, evil + "2"], "video_ids": [evil], "index": evil}
    example = make_example(title=evil, classes=[evil, "b"], video_ids=[evil, evil])
    value = {"mean": 1.0, "ci95": [0.5, 1.5], "count": 3}
    summary["differences"] = {f"{evil} - mnet": {"nsdr": value}, evil: {"nsdr": value}}
    summary["mixes"] = {"2": {evil: {"nsdr": value}}, "3": {evil: {"nsdr": value}}}
    summary["counting"] = {"tuned_on": evil, "clips": {"accuracy": value, "confusion": [[1]]}}
    summary["localisation"] = [{"scene": evil, "guesses": {evil: {"iou": value}}}]
    place = make_place(title=evil, note=evil)
    source = write_report(tmp_path / "r", summary=summary, examples=[example], places=[place]).read_text("utf-8")
    found = Structure(source)
    assert len(found.all("script")) == 1
    assert evil not in source
    assert html.escape(evil) in source


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"nsdr": {"mean": None, "ci95": None, "count": 0}},
        {"nsdr": {"mean": 1.0, "ci95": None, "count": 1}, "mixture": None, "run": None, "mixtures": None},
        {"nsdr": {"mean": float("nan"), "ci95": [None, None], "count": 1}, "oracle": {"nsdr": None}},
        {"mixtures": [{}, {"nsdr": 3.0, "classes": ["a"]}, {"nsdr": [], "classes": None, "index": 2}]},
        {"history": {"loss": None}, "left_out": {}, "definitions": None},
        {"differences": {"a - b": None, "c": {"nsdr": None}}, "mixes": {"2": {"mpnet": {}}, "x": 3}, "counting": {}},
        {"counting": {"clips": {}, "pixels": {"confusion": [[0, 0], None], "noise": [{}], "curve": [[1]]}}},
        {"localisation": [{}, None, {"guesses": {"centre": {}}}], "mixes": None, "counting": 3},
    ],
)
def test_missing_keys_leave_gaps(tmp_path, broken):
    source = write_report(tmp_path / "r", summary=broken, examples=[]).read_text("utf-8")
    Structure(source)
    assert not re.search(
        r"\bnan\b|\bNone\b(?! were)",
        re.sub(r"<style>.*?</style>|<script>.*?</script>", "", source, flags=re.S),
    )
    assert "No mixture was left out" in source


def test_a_large_table_is_cut_and_says_so(tmp_path, summary, monkeypatch):
    summary["mixtures"] = summary["mixtures"] * 1500
    index = write_report(tmp_path / "r", summary=summary, examples=[])
    assert index.stat().st_size < 1_000_000
    assert "The first 1,000 of 6,000 are listed" in index.read_text("utf-8")


def test_pairs_of_classes():
    mixtures = [
        {"classes": ["b", "a"], "nsdr": [1.0, 3.0]},
        {"classes": ["a", "b"], "nsdr": [4.0, 4.0]},
        {"classes": ["a", "c", "b"], "nsdr": [9.0, 9.0, 9.0]},
        {"classes": ["c", "c"], "nsdr": [None, 1.0]},
    ]
    table = tables.class_pairs(mixtures)
    assert 'title="a with b: 3 mixtures">5.0<small>3</small>' in table
    assert 'title="a with c: 1 mixture">9.0' in table
    assert "c with c" not in table
    assert tables.class_pairs([]) == ""


def test_an_earlier_report_stays_until_the_new_one_is_complete(tmp_path, summary, make_example, monkeypatch):
    target = tmp_path / "report"
    index = write_report(target, summary=summary, examples=[make_example(title="Earlier example")])
    before = index.read_bytes()

    def broken(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(page, "_page", broken)
        with pytest.raises(OSError, match="disk full"):
            write_report(target, summary=summary, examples=[make_example(title="second")])
    assert index.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]

    write_report(target, summary=summary, examples=[])
    assert b"Earlier example" not in index.read_bytes()
    assert not list((target / "media").iterdir())
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


def test_a_failed_swap_puts_the_earlier_report_back(tmp_path, summary, monkeypatch):
    target = tmp_path / "report"
    before = write_report(target, summary=summary, examples=[]).read_bytes()
    replace, calls = os.replace, []

    def second_fails(source, destination):
        calls.append(source)
        if len(calls) == 2:
            raise OSError("in use")
        replace(source, destination)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OSError, match="in use"):
        write_report(target, summary={}, examples=[])
    assert (target / "index.html").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


def test_other_folders_are_never_replaced(tmp_path, summary):
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(ValueError, match="holds 'checkpoint', which no report does"):
        write_report(tmp_path, summary=summary, examples=[])
    assert (tmp_path / "checkpoint").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file; a report needs a folder of its own"):
        write_report(tmp_path / "file", summary=summary, examples=[])


def test_new_results_are_new_sections(tmp_path, rich_summary, make_example, make_place):
    example = make_example(heat=np.arange(24.0).reshape(2, 3, 4))
    places = [make_place(), make_place(hit=False, note="behind a stand")]
    index = write_report(tmp_path / "r", summary=rich_summary, examples=[example], places=places)
    found = read(index)
    titles = ["differences", "robustness", "listen", "counting", "localisation", "all"]
    assert [tag["id"] for tag in found.all("h2") if "id" in tag][1:7] == titles
    assert [tag["href"] for tag in found.all("a")][1:8] == [f"#{name}" for name in ["numbers", *titles]]
    linked = {tag["src"] for name in ("img", "audio") for tag in found.all(name)}
    assert linked == {f"media/{entry.name}" for entry in (index.parent / "media").iterdir()}
    assert {f"media/example-01-source-{source}-heat.png" for source in (1, 2)} <= linked
    assert {f"media/place-0{place}-{kind}.png" for place in (1, 2) for kind in ("frame", "heat")} <= linked
    assert len([tag for tag in found.all("input") if tag["type"] == "checkbox"]) == 2
    assert index.stat().st_size < 1_000_000


def test_without_new_results_the_page_has_no_new_sections(tmp_path, summary, make_example):
    found = read(write_report(tmp_path / "r", summary=summary, examples=[make_example()]))
    ids = {tag["id"] for tag in found.all("h2") if "id" in tag}
    assert ids == {"numbers", "listen", "all", "meaning", "made"}
    assert not found.all("input")[1:]


def test_parents_are_made_and_a_link_is_followed(tmp_path, summary):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    index = write_report(tmp_path / "link", summary=summary, examples=[])
    assert index.exists() and (tmp_path / "link").is_symlink()
    assert write_report(tmp_path / "a" / "b", summary=summary, examples=[]).exists()
