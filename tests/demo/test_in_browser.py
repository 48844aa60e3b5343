"""Uses the page as a person would, in Chromium; the networks are those of `conftest`, which need no training."""

import io

import numpy as np
import pytest
import soundfile

from tests.support.browser import needs_chromium
from tests.support.demo_page import SAMPLES, point, ready, until, while_playing

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(900), needs_chromium]


def test_a_video_is_sent_separated_mixed_and_pointed_at(page, demo, duet):
    demo.library.pace_s = 0.5
    page.goto(demo.address)
    page.set_input_files("#file", duet)
    page.wait_for_url("**/results/*")
    until(page, "document.getElementById('bar').value > 0.05")
    until(page, "/ left/.test(document.getElementById('remaining').textContent)")
    ready(page)
    identifier = page.url.rsplit("/", 1)[1]

    # The sounds are those of the files.
    for key in ("1", "2"):
        content = demo.ask("GET", f"/api/results/{identifier}/sounds/{key}.wav")[2]
        expected, rate_hz = soundfile.read(io.BytesIO(content))
        decoded_hz, *channels = page.evaluate(SAMPLES, key)
        assert decoded_hz == rate_hz and np.abs(expected).max() > 0.01
        np.testing.assert_allclose(np.array(channels).T, expected[20000:21000], atol=1e-6)

    # Both sounds are heard; the solo of one silences the other.
    page.keyboard.press("Space")
    while_playing(page, "demo.player.level('1') > 0.05 && demo.player.level('2') > 0.02")
    page.click('[data-row="1"] .solo')
    while_playing(page, "demo.player.level('2') === 0 && demo.player.level('1') > 0.05")
    assert page.get_attribute('[data-row="1"] .solo', "aria-pressed") == "true"
    page.click('[data-row="1"] .solo')
    page.click('[data-row="1"] .mute')
    while_playing(page, "demo.player.level('1') === 0")
    page.click('[data-row="1"] .mute')
    page.keyboard.press("Home")
    until(page, "Math.abs(document.getElementById('picture').currentTime - demo.player.time) < 0.2")

    # Two places have two sounds.
    left, right = point(page, 0.02, 0.5), point(page, 0.98, 0.5)
    assert np.sqrt(np.mean((left - right) ** 2)) > 0.05
    while_playing(page, "demo.player.level('1') === 0 && demo.player.level('2') === 0")
    until(page, "document.getElementById('share-now').textContent === '98 %'")
    page.keyboard.press("Escape")
    assert page.locator('[data-row="place"]').count() == 0
    page.fill("#place-x", "150")
    page.click("#listen")
    page.wait_for_selector("#problem:not([hidden])")
    assert "outside the picture" in page.text_content("#problem")

    # A row that joins after the end of the recording is not started, and can be replaced and removed.
    page.evaluate(
        """async () => {
          await demo.player.play();
          const buffer = demo.player.rows.get("1").buffer;
          demo.player.offset = demo.player.seconds + 1;
          for (let time = 0; time < 2; time += 1) demo.player.set("late", buffer);
          demo.player.remove("late");
          demo.player.seek(0);
          demo.player.pause();
        }"""
    )

    # The recursion, the arrow keys and a name.
    until(page, "/1 of 2/.test(document.getElementById('step-text').textContent)")
    page.fill('[data-row="2"] .name', "<i>flute</i>")
    with page.expect_response(lambda answer: answer.url.endswith("/names")):
        page.keyboard.press("Tab")
    page.click("#pointing-title")
    before = page.evaluate("demo.player.pause() ?? demo.player.time")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("demo.player.time") == pytest.approx(min(5.0, page.evaluate("demo.player.seconds"))), before

    # A reload and the list find it again.
    page.reload()
    ready(page)
    assert page.input_value('[data-row="2"] .name') == "<i>flute</i>"
    page.goto(demo.address)
    page.click(f'[data-id="{identifier}"] a')
    ready(page)
    page.click("#delete")
    page.wait_for_selector("#none:not([hidden])", state="attached")
    assert demo.store.records() == []


def test_a_separation_can_be_cancelled_in_the_page(page, demo, duet):
    demo.library.pace_s = 1.0
    page.goto(demo.address)
    page.set_input_files("#file", duet)
    page.wait_for_url("**/results/*")
    page.click("#cancel")
    until(page, "document.getElementById('phase').textContent === 'Cancelled'")
    assert demo.store.records() == []


def test_a_file_that_is_no_video_is_refused_in_the_page(page, demo, tmp_path):
    (tmp_path / "<img src=x onerror=alert(1)>.mp4").write_bytes(b"\0" * 1000)
    page.goto(demo.address)
    page.set_input_files("#file", tmp_path / "<img src=x onerror=alert(1)>.mp4")
    page.wait_for_selector("#problem:not([hidden])")
    assert "no video" in page.text_content("#problem")
    assert page.locator("img").count() == 0


def test_no_page_scrolls_sideways(page, demo, duet):
    identifier = demo.upload(duet, "a_very_long_name_" * 7 + ".mp4")
    demo.wait(identifier, "done", seconds=120)
    for path in ("", f"/results/{identifier}", "/nothing"):
        page.goto(demo.address + path)
        for width in (1280, 768, 390):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (path, width)
