"""Uses the page of a separation as a person would, in Chromium and from the disk; the oracle separates the video."""

import time

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; pip install playwright")

from mpnet_jax.separation.separator import Separator
from tests.separation.conftest import duet
from tests.support.browser import CHROMIUM, needs_chromium
from tests.support.tiny_videos import write_video

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(600), needs_chromium]

SECONDS = 10.0
SPREAD_S = 0.02
# Differences of the positions of all sounds, and of the shown video from the first sound, over two seconds.
MEASURE = """async () => {
  const sounds = [...document.querySelectorAll('audio')].filter((sound) => !sound.error);
  const measured = [];
  for (let turn = 0; turn < 40; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const times = sounds.map((sound) => sound.currentTime);
    const video = document.querySelector('video:not([hidden])');
    const apart = video ? Math.abs(video.currentTime - times[0]) : 0;
    measured.push([Math.max(...times) - Math.min(...times), apart, times[0]]);
  }
  return measured;
}"""
HEARD = """() => Object.fromEntries([...document.querySelectorAll('.mixer-row')].map((row) => {
  const sound = row.querySelector('audio');
  return [row.dataset.row, sound.muted || sound.volume < 1e-5 ? 0 : sound.volume];
}))"""
TIMES = "() => [...document.querySelectorAll('audio')].map((sound) => sound.currentTime)"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def write(tmp_path, model, oracle):
    """Writes the page of a video of two sounds, with other options of `Separation.write` where they are given."""

    def write(*, sounds=2, **options):
        low, high = duet(44_100, SECONDS, 1)
        video = write_video(tmp_path / "a.mp4", seconds=SECONDS, sound=low + 0.9 * high)
        with Separator(model, sounds=sounds, names=False).separate_file(video) as separation:
            separation.write(tmp_path / "out", **options)
        return tmp_path / "out" / "index.html"

    return write


@pytest.fixture
def show(browser):
    """Opens a page; the test fails if a script fails, or if a request leaves the disk."""
    opened, problems, foreign = [], [], []

    def show(index, *, wait=True, **options):
        page = browser.new_page(**options)
        opened.append(page)
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: line.type in ("error", "warning") and problems.append(line.text))
        page.on("request", lambda sent: sent.url.startswith(("file:", "data:")) or foreign.append(sent.url))
        page.goto(index.as_uri())
        if wait:
            page.wait_for_selector("html[data-ready]", state="attached")
        return page

    show.problems = problems
    yield show
    for page in opened:
        page.close()
    assert foreign == []
    assert problems == []


def until(page, expression):
    page.wait_for_function(expression, timeout=30_000)


def in_step(page):
    """Asserts that all sounds play together. A loaded machine may delay a start or hold up measurements."""
    tried = []
    for _ in range(6):
        if page.evaluate("document.querySelector('audio').currentTime") > SECONDS - 4:
            page.keyboard.press("Home")
        measured = page.evaluate(MEASURE)
        spreads = sorted(spread for spread, _, _ in measured)
        apart = sorted(apart for _, apart, _ in measured)
        tried.append((spreads[int(0.9 * len(spreads))], apart[len(apart) // 2], measured[-1][2] - measured[0][2]))
        if tried[-1][0] < SPREAD_S and tried[-1][1] < 0.15 and tried[-1][2] > 0.5:
            return
    raise AssertionError(f"(spread, distance of the video, seconds played): {tried}")


def test_all_sounds_and_the_picture_play_together(write, show):
    page = show(write())
    assert page.evaluate("[...document.querySelectorAll('video')].every((video) => video.muted && video.poster)")
    page.click("#play")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    in_step(page)
    page.keyboard.press("Tab")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    until(page, "[...document.querySelectorAll('audio, video')].every((media) => media.paused)")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    until(page, "[...document.querySelectorAll('audio')].every((sound) => Math.abs(sound.currentTime - 5) < 0.01)")
    assert page.text_content("#now") == "0:05"
    # At its end the page stops, and starts again.
    page.click("#play")
    until(page, "document.getElementById('play').getAttribute('aria-label') === 'Play'")
    assert float(page.input_value("#seek")) > SECONDS - 0.1
    page.click("#play")
    until(page, "document.querySelector('audio').currentTime < 3 && !document.querySelector('audio').paused")


def test_solo_mute_and_volume(write, show):
    page = show(write(videos=False))
    assert page.locator("video").count() == 0
    assert page.evaluate(HEARD) == {"1": 1, "2": 1, "residual": 1}
    page.click('[data-row="2"] .solo')
    assert page.evaluate(HEARD) == {"1": 0, "2": 1, "residual": 0}
    assert page.get_attribute('[data-row="2"] .solo', "aria-pressed") == "true"
    page.click('[data-row="2"] .solo')
    page.click('[data-row="1"] .mute')
    page.fill('[data-row="residual"] .volume', "0.25")
    assert page.evaluate(HEARD) == {"1": 0, "2": 1, "residual": 0.25}
    page.click("#play")
    in_step(page)


def test_a_click_on_a_waveform_seeks_during_playback(write, show):
    page = show(write())
    page.click("#play")
    until(page, "document.querySelector('audio').currentTime > 0.3")
    box = page.locator('[data-row="2"] .wave').bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 10)
    until(page, "Math.min(...[...document.querySelectorAll('audio')].map((sound) => sound.currentTime)) > 4.9")
    in_step(page)
    assert SECONDS > min(page.evaluate(TIMES))


def test_an_eye_or_a_solo_shows_the_sounds_own_video_at_the_same_time(write, show):
    page = show(write())
    page.click("#play")
    until(page, "document.querySelector('audio').currentTime > 0.5")
    page.click('[data-row="2"] .eye')
    until(page, "document.querySelector('video:not([hidden])').dataset.view === '2'")
    assert page.locator("video:visible").count() == 1
    in_step(page)
    page.click('[data-row="2"] .eye')
    page.click('[data-row="1"] .solo')
    until(page, "document.querySelector('video:not([hidden])').dataset.view === '1'")
    page.click("#together")
    until(page, "document.querySelector('video:not([hidden])').dataset.view === 'overview'")
    assert page.evaluate(HEARD) == {"1": 1, "2": 1, "residual": 1}
    assert page.is_hidden("#together")


@pytest.mark.parametrize("kind", ["mp3", "ogg", "m4a", "flac"])
def test_other_formats_play_in_step(write, show, kind):
    page = show(write(format=kind, videos=False))
    page.click("#play")
    in_step(page)


@pytest.mark.parametrize(
    ("options", "rows", "view"),
    [
        ({"only": ["2"]}, ["2"], "2"),
        ({"without": ["1"], "place": (0.2, 0.5)}, ["other0", "other1"], None),
        ({"sounds": 1}, ["1", "residual"], "overview"),
    ],
)
def test_pages_of_chosen_sounds_play(write, show, options, rows, view):
    page = show(write(**options))
    assert page.evaluate("[...document.querySelectorAll('.mixer-row')].map((row) => row.dataset.row)") == rows
    assert page.evaluate("document.querySelector('video:not([hidden])')?.dataset.view ?? null") == view
    page.click("#play")
    in_step(page)


def test_a_missing_file_is_reported_and_the_others_play(write, show):
    index = write(videos=False)
    (index.parent / "sound1.wav").unlink()
    page = show(index)
    page.wait_for_selector('[data-row="1"] .refused:not([hidden])')
    page.click("#play")
    until(page, "document.querySelectorAll('audio')[1].currentTime > 0.5")
    assert page.text_content("#now") in ("0:00", "0:01")
    assert all("ERR_FILE_NOT_FOUND" in problem for problem in show.problems)
    show.problems.clear()


def test_without_scripts_there_are_plain_players(write, show):
    page = show(write(), wait=False, java_script_enabled=False)
    assert page.locator("audio[controls]:visible").count() == 3
    assert page.locator("video[controls]:visible").count() == 1
    assert page.locator("button:visible").count() == 0
    assert page.locator(".wave:visible").count() == 3


def test_the_page_is_as_wide_as_the_window(write, show):
    index = write(pattern="{sound}_" + "long" * 30)
    for scripted in (True, False):
        page = show(index, wait=scripted, java_script_enabled=scripted)
        for width in (1280, 768, 390):
            page.set_viewport_size({"width": width, "height": 800})
            time.sleep(0.1)
            if scripted:
                assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width
            box = page.locator(".mixer").bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width
