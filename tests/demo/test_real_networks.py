"""Uses the page in Chromium with the networks that ship with the package, on a rendered scene of two players."""

import io
import re

import numpy as np
import pytest
import soundfile

from mpnet_jax.demo import samples
from mpnet_jax.demo.limits import Limits
from mpnet_jax.demo.networks import Networks
from tests.demo.conftest import Demo
from tests.support.browser import needs_chromium
from tests.support.demo_page import ready, until, while_playing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.e2e,
    pytest.mark.timeout(3600),
    needs_chromium,
    pytest.mark.skipif(samples.missing() is not None, reason="midirenderer, pretty_midi or resvg_py is not installed"),
]
PATIENCE_S = 1200.0
SILENT = 1e-4
# All samples of the first channel of a row.
CHANNEL = "(key) => [...demo.player.rows.get(key).buffer.getChannelData(0)]"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    from data_pipeline.render_scene import render

    folder = tmp_path_factory.mktemp("scene")
    render(folder, ["violin", "trumpet"], seconds=8.0, seed=1000)
    return folder / "scene.mp4"


@pytest.fixture
def demo(tmp_path):
    running = Demo(tmp_path / "demo", Networks(), Limits(free_bytes=0))
    yield running
    running.stop()


def separated(page, demo, scene):
    """Sends the scene and waits for its result; returns its identifier."""
    page.goto(demo.address)
    page.set_input_files("#file", scene)
    page.wait_for_url("**/results/*")
    until(page, "document.getElementById('bar')?.value > 0", seconds=PATIENCE_S)
    until(page, "document.documentElement.dataset.ready === 'true'", seconds=PATIENCE_S)
    return page.url.rsplit("/", 1)[1]


def heard_at(page, x):
    """Clicks a place of the picture and returns the samples that are then played."""
    page.evaluate("demo.pointing.answeredMs = 0")
    box = page.locator("#overlay").bounding_box()
    page.click("#overlay", position={"x": x * box["width"], "y": 0.5 * box["height"]})
    until(page, "demo.pointing.answeredMs > 0", seconds=PATIENCE_S)
    return np.array(page.evaluate(CHANNEL, "place"))


def rms(samples):
    return float(np.sqrt(np.mean(np.square(samples))))


def test_a_scene_is_separated_mixed_and_pointed_at(page, demo, scene):
    identifier = separated(page, demo, scene)
    keys = page.evaluate("[...demo.player.rows.keys()]")
    assert keys == ["1", "2", "residual"]

    # The decoded sounds are those of the files and are not silent.
    for key in keys:
        content = demo.ask("GET", f"/api/results/{identifier}/sounds/{key}.wav")[2]
        expected, _ = soundfile.read(io.BytesIO(content), always_2d=True)
        np.testing.assert_allclose(np.array(page.evaluate(CHANNEL, key)), expected[:, 0], atol=1e-6)
        assert rms(expected) > (0.01 if key != "residual" else SILENT)

    # The solo of one row silences the others, measured by analysers behind their gains.
    assert page.evaluate("demo.player.open() ?? demo.player.rows.get('1').analyser instanceof AnalyserNode")
    page.click("#play")
    while_playing(page, "demo.player.level('1') > 0.005 || demo.player.level('2') > 0.005")
    for solo, silent in (("1", "2"), ("2", "1")):
        page.click(f'[data-row="{solo}"] .solo')
        quiet = f"demo.player.level('{silent}') < {SILENT} && demo.player.level('residual') < {SILENT}"
        while_playing(page, f"{quiet} && demo.player.level('{solo}') > 0.005")
        page.click(f'[data-row="{solo}"] .solo')

    # The players' places have two different sounds, and the shell command names the place.
    left, right = heard_at(page, 0.25), heard_at(page, 0.75)
    assert min(rms(left), rms(right)) > 0.005
    assert rms(left - right) > 0.2 * max(rms(left), rms(right))
    assert re.search(r" --place=0\.7[45]\d,0\.(49|50)\d$", page.text_content("#code-shell"))
    page.keyboard.press("Escape")
    assert "--place" not in page.text_content("#code-shell")

    # A reload finds the result again.
    page.reload()
    ready(page)
    assert page.evaluate("[...demo.player.rows.keys()]") == keys


def test_a_separation_by_the_networks_can_be_cancelled(page, demo, scene):
    page.goto(demo.address)
    page.set_input_files("#file", scene)
    page.wait_for_url("**/results/*")
    page.click("#cancel")
    until(page, "document.getElementById('phase').textContent === 'Cancelled'", seconds=PATIENCE_S)
    assert demo.store.records() == []
    assert demo.ask("GET", "/")[0] == 200
