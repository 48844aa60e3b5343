import numpy as np
import pytest

from benchmarks import downmix


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(downmix, "SECONDS", 3.0)


def test_a_recording_that_does_not_cancel_differs_little_from_its_mean():
    ways = downmix.ways()
    for name in ("mono", "two equal channels", "one silent channel"):
        assert downmix.measured(*ways[name])["difference_db"] < -120
    assert downmix.measured(*ways["independent noise"])["difference_db"] < -20


def test_a_recording_that_cancels_is_that_in_phase():
    found = downmix.measured(*downmix.ways()["one channel inverted"])
    assert found["difference_db"] < -60 and found["rescued_db"] is None and found["cpu_ms"] > 0


def test_a_wrong_expectation_shows():
    sound, layout, expected = downmix.ways()["mono"]
    assert downmix.measured(sound, layout, 2 * expected)["difference_db"] == pytest.approx(20 * np.log10(0.5))
