"""Opens pages in headless Chromium from the disk."""

import html
import json
import re
import shutil
import subprocess

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on this machine"
)

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --virtual-time-budget=60000 --enable-logging=stderr --dump-dom"
).split()


def dump(url, profile, *more, quiet=True):
    """Returns the document after its scripts have run; with `quiet`, console messages fail the test."""
    run = subprocess.run(
        [CHROMIUM, *FLAGS, *more, f"--user-data-dir={profile}", url], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert not quiet or "CONSOLE" not in run.stderr, run.stderr[-2000:]
    return run.stdout


def selfcheck(index, profile, *, quiet=True):
    """Returns the result of the page's self-check of its pictures and sounds."""
    found = re.search(r'data-selfcheck="([^"]*)"', dump(f"{index.as_uri()}#selfcheck", profile, quiet=quiet))
    assert found, "the page's self-check did not finish"
    return json.loads(html.unescape(found[1]))


def act(index, profile, script, *more):
    """Runs `script` at the end of the page and returns the list `seen`, which the script fills."""
    code = (
        f"<script>const seen = []; (() => {{ {script} }})(); document.documentElement.dataset.seen = "
        "JSON.stringify(seen);</script></body>"
    )
    index.write_text(index.read_text("utf-8").replace("</body>", code), "utf-8")
    found = re.search(r'data-seen="([^"]*)"', dump(index.as_uri(), profile, *more))
    assert found, "the script did not finish"
    return json.loads(html.unescape(found[1]))


def overflow(index, profile, widths):
    """Returns by how many pixels the page is wider than a window, for each width of the window."""
    code = (
        "<script>addEventListener('load', () => parent.postMessage("
        "document.documentElement.scrollWidth - innerWidth, '*'))</script></body>"
    )
    index.write_text(index.read_text("utf-8").replace("</body>", code), "utf-8")
    outer = index.parent.parent / "outer.html"
    # A window has a minimum width, a frame has none.
    frames = (
        f'<iframe src="{index.as_uri()}" style="width:{width}px;height:800px;border:0"></iframe>' for width in widths
    )
    script = """addEventListener('message', (event) => {
      const frames = [...document.querySelectorAll('iframe')];
      frames.find((frame) => frame.contentWindow === event.source).dataset.over = event.data;
    })"""
    outer.write_text(f"<body><script>{script}</script>{''.join(frames)}")
    found = re.findall(r'<iframe [^>]*data-over="(-?\d+)"', dump(outer.as_uri(), profile, "--hide-scrollbars"))
    assert len(found) == len(widths), "the page did not load in every frame"
    return dict(zip(widths, map(int, found), strict=True))
