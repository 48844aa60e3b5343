import numpy as np
import pytest

from mpnet_jax.report.page import write_report
from mpnet_jax.report.side_by_side import write_comparison
from tests.support.browser import act, needs_chromium, overflow, selfcheck

pytestmark = needs_chromium


@pytest.fixture
def index(tmp_path, summary, make_example):
    return write_report(tmp_path / "report", summary=summary, examples=[make_example(), make_example(sources=3)])


@pytest.fixture
def rich_index(tmp_path, rich_summary, make_example, make_place):
    example = make_example(heat=np.random.default_rng(0).random((2, 14, 14)))
    return write_report(tmp_path / "rich", summary=rich_summary, examples=[example], places=[make_place()] * 3)


@pytest.fixture
def comparison(tmp_path, make_run, rich_summary):
    folders = [make_run("a_run_with_quite_a_long_name_and_a_seed", rich_summary), make_run("b", rich_summary)]
    return write_comparison(folders, tmp_path / "comparison")


def test_every_picture_and_sound_loads(index, tmp_path):
    assert selfcheck(index, tmp_path / "profile") == {"images": 27, "sounds": 12, "broken": []}


def test_missing_and_damaged_files_are_named(index, tmp_path):
    media = index.parent / "media"
    (media / "example-01-mixture.png").unlink()
    (media / "example-02-source-3-frame.png").write_bytes(b"no picture")
    (media / "example-01-source-1-true.wav").unlink()
    silent = media / "example-02-mixture.wav"
    silent.write_bytes(silent.read_bytes()[:20])
    assert selfcheck(index, tmp_path / "profile", quiet=False)["broken"] == [
        "media/example-01-mixture.png",
        "media/example-01-source-1-true.wav",
        "media/example-02-mixture.wav",
        "media/example-02-source-3-frame.png",
    ]


def test_a_column_head_sorts_and_the_filter_hides(index, tmp_path):
    script = """
      const rows = (more) => [...document.querySelectorAll('.sortable tbody tr' + more)];
      const order = (more = '') => rows(more).map((row) => row.cells[0].textContent);
      const heads = [...document.querySelectorAll('.sortable thead th')];
      heads[3].querySelector('button').click();
      seen.push(order());
      heads[3].querySelector('button').click();
      seen.push(order(), heads.map((head) => head.getAttribute('aria-sort')));
      const filter = document.getElementById('filter');
      filter.value = 'tuba';
      filter.dispatchEvent(new Event('input'));
      seen.push(order(':not([hidden])'));
      document.getElementById('theme').click();
      seen.push(document.documentElement.dataset.theme);
    """
    falling, rising, sorts, shown, theme = act(index, tmp_path / "profile", script)
    # Mixture 1 has no NSDR and stays last in both directions.
    assert falling == ["3", "0", "2", "1"]
    assert rising == ["2", "0", "3", "1"]
    assert sorts == ["none"] * 3 + ["ascending"] + ["none"] * 5
    assert shown == ["0"]
    assert theme == "light"


def test_heat_maps_can_be_hidden_one_example_at_a_time(rich_index, tmp_path):
    script = """
      document.head.insertAdjacentHTML('beforeend', '<style>* { transition: none !important }</style>');
      const opacities = () => [...document.querySelectorAll('.heatmap')].map((map) => getComputedStyle(map).opacity);
      const boxes = [...document.querySelectorAll('.switch input')];
      seen.push(opacities());
      boxes[0].focus();
      seen.push(document.activeElement === boxes[0]);
      boxes[0].click();
      seen.push(opacities());
    """
    before, reachable, after = act(rich_index, tmp_path / "profile", script)
    assert before == ["1"] * 5
    assert reachable
    # The example's two sources, then the gallery's three frames.
    assert after == ["0", "0", "1", "1", "1"]


def test_every_sortable_table_sorts(comparison, tmp_path):
    script = """
      for (const table of document.querySelectorAll('table.sortable')) {
        for (const head of table.querySelectorAll('thead th')) {
          const before = table.tBodies[0].rows.length;
          head.querySelector('button').click();
          seen.push([head.getAttribute('aria-sort') !== 'none', table.tBodies[0].rows.length === before]);
        }
      }
    """
    seen = act(comparison, tmp_path / "profile", script)
    assert len(seen) > 30 and all(map(all, seen))


@pytest.mark.parametrize("page", ["rich_index", "comparison"])
def test_no_page_scrolls_sideways(page, tmp_path, request):
    wider = overflow(request.getfixturevalue(page), tmp_path / "profile", (1280, 768, 390))
    assert max(wider.values()) <= 0, wider


def test_the_new_pictures_load(rich_index, tmp_path):
    found = selfcheck(rich_index, tmp_path / "profile")
    # 9 spectrograms and masks, 4 frames and heat maps of sources, 6 of positions.
    assert found == {"images": 19, "sounds": 5, "broken": []}
