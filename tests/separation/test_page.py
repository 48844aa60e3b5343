"""Tests of the page of a separation as HTML."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mpnet_jax.separation.curves import Curves
from mpnet_jax.separation.page import write_page
from mpnet_jax.separation.page_mixer import Drawn, waveform
from tests.separation.conftest import duet, separate_video
from tests.support.report_structure import read
from tests.support.tiny_videos import write_video

HOSTILE = "\"><img src=x onerror=alert(1)>'#?%&.wav"


def summary(**changes):
    sound = {"number": 1, "name": None, "name_probability": None, "energy_share": 0.75, "place": [0.5, 0.25]}
    sound |= {"first_s": 0.0, "last_s": 2.0, "windows": 3, "file": "sound1.wav", "video": None}
    facts = {
        "video": {"file": "a.mp4", "seconds": 2.0, "rate_hz": 8000, "channels": 1, "picture_px": [90, 160]},
        "sounds": [sound],
        "residual": {"file": "residual.wav", "energy_share": 0.25},
        "others": [],
        "overview": None,
        "remarks": [],
        "run": {},
        "model": {"epsilon_relative": 0.123456},
        "settings": {"sounds": None, "only": ()},
    }
    return facts | changes


def page(tmp_path, facts, *, others=(), posters=None):
    curves = Curves()
    for start in range(3):
        curves.add({"start_s": start, "end_s": start + 2, "sounds": [{"number": 1, "energy": 0.5}]})
    write_page(tmp_path / "index.html", facts, Drawn(curves, {1: [0.5, 1.0], 0: [0.1]}, others, posters or {}))
    return read(tmp_path / "index.html")


def rows(document):
    return [element["data-row"] for element in document.all("li") if "data-row" in element]


def test_names_cannot_leave_their_places(tmp_path):
    facts = summary(remarks=[HOSTILE])
    facts["video"]["file"] = HOSTILE
    facts["sounds"][0] |= {"file": HOSTILE, "name": HOSTILE, "name_probability": 0.5, "video": HOSTILE}
    facts["residual"]["file"] = "javascript:alert(1)"
    document = page(tmp_path, facts)
    assert document.all("img") == []
    tags = ("video", "audio", "a", "button")
    assert not any(name.startswith("on") for tag in tags for element in document.all(tag) for name in element)
    sources = [element["src"] for element in document.all("audio")]
    assert sources == [
        "%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%27%23%3F%25%26.wav",
        "javascript%3Aalert%281%29",
    ]


def test_the_axis_of_time_is_in_seconds(tmp_path):
    page(tmp_path, summary())
    text = (tmp_path / "index.html").read_text("utf-8")
    chart = re.search(r'<svg class="chart".*?</svg>', text, re.S)[0]
    assert ">seconds</text>" in chart and ">fraction of the mixture</text>" in chart and "training step" not in chart
    assert "epsilon_relative 0.1235" in text


@pytest.mark.parametrize(
    ("changes", "expected", "muted"),
    [
        ({}, ["1", "residual"], [False, False]),
        ({"sounds": []}, ["residual"], [False]),
        ({"others": [{"file": "without_1.wav", "without": [1]}]}, ["1", "residual", "other0"], [False, False, True]),
        (
            {
                "sounds": [],
                "residual": {"file": None, "energy_share": 1.0},
                "others": [{"file": "without_1.wav", "without": [1]}, {"file": "place.wav", "place": [0.25, 0.5]}],
            },
            ["other0", "other1"],
            [False, True],
        ),
    ],
)
def test_rows_are_those_of_the_files(tmp_path, changes, expected, muted):
    facts = summary(**changes)
    document = page(tmp_path, facts, others=[[0.5]] * len(facts["others"]))
    assert rows(document) == expected
    buttons = [element for element in document.all("button") if element.get("class") == "mute"]
    assert [button["aria-pressed"] == "true" for button in buttons] == muted
    assert document.all("video") == []


def test_waveforms_are_scaled_and_short():
    assert re.findall(r"M\S+ \S+V\S+?(?=M|\")", waveform([0.5, 1.0, 0.0], 1.0, key="1")) == [
        "M0.5 0.50V1.50", "M1.5 0.00V2.00", "M2.5 0.98V1.02"
    ]  # fmt: skip
    assert 'd=""' in waveform([], 0.0, key="1")
    long = waveform(list(np.linspace(0, 1, 800)), 1.0, key="1")
    assert long.count("M") == 240 and len(long) < 6000


def test_posters_show_the_heat_map_of_a_loud_moment(tmp_path, model, oracle):
    low, high = duet(8000, 3.0, 1)
    grey = [np.full((96, 128, 3), 60, np.uint8)] * 30
    video = write_video(tmp_path / "a.mov", seconds=3.0, rate_hz=8000, sound=low + 0.9 * high, pictures=grey)
    separate_video(video, tmp_path / "out", model, dict(sounds=2))
    posters = [element["poster"] for element in read(tmp_path / "out" / "index.html").all("video")]
    pictures = []
    for poster in posters:
        content = base64.b64decode(poster.removeprefix("data:image/jpeg;base64,"))
        pictures.append(np.asarray(Image.open(io.BytesIO(content))).astype(float).sum(2))
    assert [picture.shape for picture in pictures] == [(96, 128)] * 3
    # The overview, the low sound on the left, the high sound on the right.
    for picture, column in zip(pictures[1:], (1.5 / 8, 6.5 / 8), strict=True):
        assert (picture.sum(0).argmax() + 0.5) / 128 == pytest.approx(column, abs=0.06)
    assert pictures[0][:, :40].max() > 250 and pictures[0][:, -40:].max() > 250
