"""Steps of the tests that use the demo's page in a browser."""

import time

import numpy as np

WAIT_MS = 60_000
# Samples of a decoded row, of both channels.
SAMPLES = """(key) => {
  const buffer = demo.player.rows.get(key).buffer;
  return [buffer.sampleRate, ...[0, 1].map((channel) => [...buffer.getChannelData(channel).subarray(20000, 21000)])];
}"""


def until(page, expression, *, seconds=WAIT_MS / 1000):
    """Waits until an expression is true; the page's policy forbids Playwright's own function for it."""
    from playwright import sync_api

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if page.evaluate(expression):
                return
        except sync_api.Error:  # The page is being left.
            page.wait_for_load_state()
        time.sleep(0.02)
    raise AssertionError(f"never true: {expression}")


def while_playing(page, expression):
    """Waits until an expression is true; playback starts again at its end, which a loaded machine may reach first."""
    until(page, f"(demo.player.playing || void demo.player.play(), {expression})")


def ready(page):
    page.wait_for_selector("html[data-ready]", state="attached")


def point(page, x, y):
    """Clicks a place of the picture and returns the samples that are then played."""
    picture = page.locator("#overlay")
    box = picture.bounding_box()
    page.evaluate("demo.pointing.answeredMs = 0")
    picture.click(position={"x": x * box["width"], "y": y * box["height"]})
    until(page, "demo.pointing.answeredMs > 0 && demo.player.rows.has('place')")
    return np.array(page.evaluate(SAMPLES, "place")[1])
