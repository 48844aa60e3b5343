"""Opens the report in headless Chromium, from the disk, as a reader would."""

import html
import json
import re
import shutil
import subprocess

import pytest

from mpnet_jax.report.page import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on this machine"
)

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --virtual-time-budget=60000 --dump-dom"
).split()


def dump(url, profile):
    run = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", url], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout


def selfcheck(index, profile):
    found = re.search(r'data-selfcheck="([^"]*)"', dump(f"{index.as_uri()}#selfcheck", profile))
    assert found, "the page's self-check did not finish"
    return json.loads(html.unescape(found[1]))


@pytest.fixture
def index(tmp_path, summary, make_example):
    return write_report(tmp_path / "report", summary=summary, examples=[make_example(), make_example(sources=3)])


def test_every_picture_and_sound_loads(index, tmp_path):
    assert selfcheck(index, tmp_path / "profile") == {"images": 27, "sounds": 12, "broken": []}


def test_what_is_missing_or_damaged_is_named(index, tmp_path):
    media = index.parent / "media"
    (media / "example-01-mixture.png").unlink()
    (media / "example-02-source-3-frame.png").write_bytes(b"no picture")
    (media / "example-01-source-1-true.wav").unlink()
    silent = media / "example-02-mixture.wav"
    silent.write_bytes(silent.read_bytes()[:20])
    assert selfcheck(index, tmp_path / "profile")["broken"] == [
        "media/example-01-mixture.png",
        "media/example-01-source-1-true.wav",
        "media/example-02-mixture.wav",
        "media/example-02-source-3-frame.png",
    ]


def test_a_column_head_sorts_and_the_filter_hides(index, tmp_path):
    act = """<script>
      const rows = (more) => [...document.querySelectorAll('.sortable tbody tr' + more)];
      const order = (more = '') => rows(more).map((row) => row.cells[0].textContent);
      const heads = [...document.querySelectorAll('.sortable thead th')];
      heads[3].querySelector('button').click();
      const seen = [order()];
      heads[3].querySelector('button').click();
      seen.push(order(), heads.map((head) => head.getAttribute('aria-sort')));
      const filter = document.getElementById('filter');
      filter.value = 'tuba';
      filter.dispatchEvent(new Event('input'));
      seen.push(order(':not([hidden])'));
      document.getElementById('theme').click();
      seen.push(document.documentElement.dataset.theme);
      document.documentElement.dataset.seen = JSON.stringify(seen);
    </script></body>"""
    index.write_text(index.read_text("utf-8").replace("</body>", act), "utf-8")
    found = re.search(r'data-seen="([^"]*)"', dump(index.as_uri(), tmp_path / "profile"))
    falling, rising, sorts, shown, theme = json.loads(html.unescape(found[1]))
    # Mixture 1 has no NSDR and stays last both ways.
    assert falling == ["3", "0", "2", "1"]
    assert rising == ["2", "0", "3", "1"]
    assert sorts == ["none"] * 3 + ["ascending"] + ["none"] * 5
    assert shown == ["0"]
    assert theme == "light"
