"""Renders the samples that the page offers; the other tests of the demo use tiny videos."""

import av
import numpy as np
import pytest

from data_pipeline.command import InputError
from data_pipeline.media import reader
from mpnet_jax.demo import samples

needs_renderer = pytest.mark.skipif(samples.missing() is not None, reason=str(samples.missing()))


@needs_renderer
@pytest.mark.slow
@pytest.mark.parametrize("name", samples.SAMPLES)
def test_a_sample_is_rendered_once_and_then_copied(tmp_path, monkeypatch, name):
    sample = samples.SAMPLES[name]
    samples.render(tmp_path, name, tmp_path / "first.mp4")
    with av.open(tmp_path / "first.mp4") as container:
        picture = container.streams.video[0]
        # The players stand side by side in square pictures.
        assert picture.width == len(sample.instruments) * picture.height
        assert float(container.duration) / av.time_base == pytest.approx(sample.seconds, abs=0.2)
    sound = reader.read_audio(tmp_path / "first.mp4", 8000)
    halves = np.array_split(sound, 4)
    assert all(np.sqrt(np.mean(np.square(part))) > 0.005 for part in halves)
    monkeypatch.setattr(samples, "missing", lambda: "It would be rendered again.")
    samples.render(tmp_path, name, tmp_path / "second.mp4")
    assert (tmp_path / "second.mp4").read_bytes() == (tmp_path / "first.mp4").read_bytes()
    assert not list(tmp_path.glob("*.draft"))


def test_a_sample_without_its_packages_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "missing", lambda: "Install the packages.")
    with pytest.raises(InputError, match="Install the packages"):
        samples.render(tmp_path, "duet", tmp_path / "video.mp4")
    assert not list(tmp_path.iterdir())
