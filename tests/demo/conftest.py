"""Fixtures: a server with a stand-in for the networks, which splits a recording at a frequency without any of them."""

import http.client
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("starlette", reason="starlette is not installed; pip install '.[demo]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed; pip install '.[demo]'")
pytest.importorskip("jinja2", reason="jinja2 is not installed; pip install '.[demo]'")

from data_pipeline.command import InputError
from data_pipeline.media import reader
from mpnet_jax.demo.limits import Limits
from mpnet_jax.demo.server import Server, create_app, listen
from mpnet_jax.demo.store import Store
from tests.support.browser import CHROMIUM
from tests.support.demo_page import WAIT_MS

BORDER_HZ = 1000.0
GRID = (6, 8)
WINDOW_S = 2.0


class FakeSeparation:
    """The low sound lies on the left, the high one on the right."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.summary = json.loads((folder / "separation.json").read_text(encoding="utf-8"))
        self.mixture, self.rate_hz = soundfile.read(folder / "mixture.wav", dtype="float32", always_2d=True)
        self.mixture = self.mixture.T
        self.seconds = self.mixture.shape[1] / self.rate_hz
        count = len(self.summary["windows"])
        self.sounds = []
        for number in range(1, len(self.summary["sounds"]) + 1):
            heat = np.zeros((count, *GRID), np.float16)
            heat[:, 2:4, 1 if number == 1 else 6] = 1.0
            self.sounds.append(SimpleNamespace(number=number, heat=heat))

    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        spectrum = np.fft.rfft(self.mixture)
        low = np.fft.rfftfreq(self.mixture.shape[1], 1 / self.rate_hz) < BORDER_HZ
        first = np.fft.irfft(spectrum * low, self.mixture.shape[1]).astype(np.float32)
        return first, self.mixture - first

    def write(self, out: Path, *, videos: bool) -> None:
        assert not videos
        out.mkdir()
        for name, sound in zip(("sound1.wav", "sound2.wav"), self.parts(), strict=True):
            soundfile.write(out / name, sound.T, self.rate_hz, subtype="FLOAT")
        soundfile.write(out / "residual.wav", 0 * self.mixture.T, self.rate_hz, subtype="FLOAT")
        shutil.copyfile(self._folder / "separation.json", out / "separation.json")

    def sound_at(self, x: float, y: float) -> np.ndarray:
        first, second = self.parts()
        return np.float32(1 - x) * first + np.float32(x) * second

    def share_at(self, x: float, y: float) -> np.ndarray:
        return np.full(len(self.summary["windows"]), x, np.float32)

    def steps(self, window: int) -> list[Any]:
        before = np.tile(np.linspace(1.0, 0.0, 200)[:, None], (1, 50))
        first = before * (np.arange(200) < 60)[:, None]
        rest = before - first
        return [
            SimpleNamespace(number=1, before=before, taken=first),
            SimpleNamespace(number=2, before=rest, taken=rest * 0.9),
        ]

    def save(self, folder: Path) -> None:
        shutil.copytree(self._folder, folder)

    def close(self) -> None:
        pass


class FakeLibrary:
    """See `mpnet_jax.demo.library.Library`; `pace_s` is the time of each of twenty parts of a separation."""

    def __init__(self, scratch: Path) -> None:
        self._scratch, self.pace_s, self.asked, self.error = scratch, 0.0, [], None
        self._progress: Callable[[float], Any] = lambda fraction: None

    def separator(self, progress: Callable[[float], Any]) -> "FakeLibrary":
        self._progress = progress
        return self

    def separate_file(self, path: Path, *, sounds: int | None) -> FakeSeparation:
        self.asked.append(sounds)
        for part in range(20):
            self._progress(part / 20)
            time.sleep(self.pace_s)
        if self.error is not None:
            raise self.error
        blocks = [(rate, block) for rate, block in reader.stream_channels(path)]
        if not blocks:
            raise InputError(f"--video={path} has no sound")
        mixture = np.concatenate([block for _, block in blocks], axis=1)
        folder = self._scratch / f"{len(self.asked)}"
        folder.mkdir(parents=True)
        soundfile.write(folder / "mixture.wav", mixture.T, blocks[0][0], subtype="FLOAT")
        seconds = mixture.shape[1] / blocks[0][0]
        starts = np.arange(0.0, max(seconds - WINDOW_S / 2, 0.1), WINDOW_S / 2)
        summary = {
            "sounds": [
                {"number": n, "name": None, "file": f"sound{n}.wav", "energy_share": 0.5, "place": [0.5, 0.2]}
                for n in (1, 2)
            ],
            "residual": {"file": "residual.wav", "energy_share": 0.0},
            "remarks": ["A remark."],
            "model": {},
            "windows": [{"start_s": s, "end_s": s + WINDOW_S, "sounds": []} for s in starts.tolist()],
        }
        (folder / "separation.json").write_text(json.dumps(summary), encoding="utf-8")
        return FakeSeparation(folder)

    def load(self, folder: Path) -> FakeSeparation:
        return FakeSeparation(folder)


class Demo:
    """A running demo and a client for it."""

    def __init__(self, folder: Path, library: FakeLibrary, limits: Limits) -> None:
        self.folder, self.library = folder, library
        self._socket = listen("127.0.0.1", 0)
        self.port = self._socket.getsockname()[1]
        self.store = Store(folder, most=limits.results)
        self.server = Server(lambda stop: create_app(self.store, library, limits=limits, stopping=stop))
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self._socket]})
        self._thread.start()
        while not self.server.started:
            time.sleep(0.01)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(120)
        assert not self._thread.is_alive()
        self._socket.close()
        self.store.close()

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None):
        """Returns the status, the headers and the body of an answer; `headers` with None leave one out."""
        sent = {"Host": f"127.0.0.1:{self.port}", "Origin": self.address} | (headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if isinstance(body, dict):
                body = json.dumps(body).encode()
            if body is not None and "Content-Length" not in sent:
                sent["Content-Length"] = str(len(body))
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, body: Any = None):
        status, _, content = self.ask(method, path, body)
        return status, json.loads(content) if content else None

    def upload(self, path: Path, name: str = "duet.mp4", query: str = "") -> str:
        from urllib.parse import quote

        status, answer = self.json("PUT", f"/api/videos?name={quote(name, safe='')}{query}", path.read_bytes())
        assert status == 201, answer
        return answer["id"]

    def wait(self, identifier: str, *states: str, seconds: float = 150.0) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status, answer = self.json("GET", f"/api/results/{identifier}")
            if status == 404 and "deleted" in states:
                return {"state": "deleted"}
            if answer.get("state") in (states or ("done", "failed")):
                return answer
            time.sleep(0.03)
        raise AssertionError(f"still {answer}")


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Demo]]:
    running: list[Demo] = []

    def begin(folder: str = "demo", **limits: Any) -> Demo:
        limits = {"free_bytes": 0} | limits
        demo = Demo(tmp_path / folder, FakeLibrary(tmp_path / f"scratch{len(running)}"), Limits(**limits))
        running.append(demo)
        return demo

    yield begin
    for demo in running:
        if demo._thread.is_alive():
            demo.stop()


@pytest.fixture
def demo(start) -> Demo:
    return start()


@pytest.fixture(scope="session")
def duet(tmp_path_factory, write_video) -> Path:
    """Two tones, 300 and 3,000 Hz, for four seconds in stereo."""
    time_s = np.arange(4 * 44100) / 44100
    sound = 0.2 * np.sin(2 * np.pi * 300 * time_s) + 0.1 * np.sin(2 * np.pi * 3000 * time_s)
    path = tmp_path_factory.mktemp("videos") / "duet.mp4"
    return write_video(path, seconds=4.0, sound=np.stack([sound, 0.5 * sound]))


@pytest.fixture
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; pip install playwright")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, demo):
    """A page that fails the test if a script fails, and that may not leave the machine."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(WAIT_MS)
    problems, foreign = [], []
    page.on("pageerror", lambda error: problems.append(str(error)))
    # Chromium reports every answer of 400 and above on its console; some tests ask for such answers.
    expected = ("Failed to load resource",)
    page.on(
        "console",
        lambda message: (
            message.type in ("error", "warning")
            and not message.text.startswith(expected)
            and problems.append(message.text)
        ),
    )
    page.on("request", lambda sent: sent.url.startswith((demo.address, "data:", "blob:")) or foreign.append(sent.url))
    page.on("dialog", lambda dialog: dialog.accept())
    yield page
    page.close()
    assert foreign == []
    assert problems == []
