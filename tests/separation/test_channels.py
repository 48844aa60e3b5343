"""Recordings whose channels cancel, have an offset or surround the listener are separated like ordinary ones."""

import json

import numpy as np
import pytest
import soundfile

from data_pipeline.media import reader
from data_pipeline.render_scene import render
from mpnet_jax.weights import trained
from tests.separation.conftest import duet, separate_video
from tests.support.tiny_videos import write_video


def channels_of(first, second):
    """Returns recordings of two sounds (samples,) by name, each (channels, samples), "control" the ordinary one."""
    both, nothing = first + second, np.zeros_like(first)
    return {
        "control": np.stack([both, both]),
        "inverted": np.stack([both, -both]),
        "first inverted": np.stack([both, second - first]),
        "second inverted": np.stack([both, first - second]),
        "offset": np.stack([both, both]) + 0.1,
        "opposite offsets": np.stack([both + 0.1, both - 0.1]),
        "surround": np.stack([nothing, nothing, nothing, nothing, both, both]),
        "inverted surround": np.stack([nothing, nothing, nothing, nothing, both, -both]),
    }


REMARKS = {
    "inverted": "Channels cancel in parts: their mean would lose all sound, so it was not used.",
    "inverted surround": "Channels cancel in parts: their mean would lose all sound, so it was not used.",
    "offset": "A constant of +0.100 of full scale was removed from the sound.",
}


def outcome(video, out, model, settings):
    """Returns the energy shares and the median places of the sounds, the share of the residual, and the summary."""
    summary = separate_video(video, out, model, settings)
    windows = json.loads((out / "separation.json").read_text())["windows"]
    places = {
        number: np.median([s["place"] for w in windows for s in w["sounds"] if s["number"] == number], axis=0)
        for number in range(1, len(summary["sounds"]) + 1)
    }
    shares = [sound["energy_share"] for sound in summary["sounds"]] + [summary["residual"]["energy_share"]]
    return np.array(shares), np.array([places[number] for number in sorted(places)]), summary


def check_like_the_control(found, control, name):
    np.testing.assert_allclose(found[0], control[0], atol=0.02, err_msg=name)
    np.testing.assert_allclose(found[1], control[1], atol=0.02, err_msg=name)
    expected = REMARKS.get(name)
    assert expected is None or expected in found[2]["remarks"]


def check_sum(video, out):
    """Requires that all stems sum to the recording, and that a constant is in the residual alone."""
    recorded = np.concatenate([block for _, block in reader.stream_channels(video)], axis=1)
    stems = {path.name: soundfile.read(path, always_2d=True)[0].T for path in out.glob("*.wav")}
    np.testing.assert_allclose(sum(stems.values()), recorded, atol=1e-5)
    for name, stem in stems.items():
        if name != "residual.wav":
            assert np.abs(stem.mean(axis=1)).max() < 2e-3


def test_an_oracle_separates_all_of_them_alike(tmp_path, model, oracle):
    (low,), (high,) = duet(44_100, 4.0, 1)
    results = {}
    for name, sound in channels_of(low, 0.7 * high).items():
        video = write_video(tmp_path / f"{name}.mov", seconds=4.0, sound=sound)
        results[name] = outcome(video, tmp_path / name, model, dict(sounds=2, videos=name == "surround"))
        check_like_the_control(results[name], results["control"], name)
        if "offset" in name:
            check_sum(video, tmp_path / name)
    assert results["control"][2]["remarks"] == results["surround"][2]["remarks"] == []
    # Six channels are one in the videos.
    heard = reader.read_audio(tmp_path / "surround" / "sound1.mp4", 44_100)
    assert np.sqrt(np.mean(heard**2)) > 0.01


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_pretrained_model_separates_all_of_them_alike(tmp_path):
    render(tmp_path, ["violin", "trumpet"], seconds=8.0, seed=1000)
    violin, trumpet = (soundfile.read(path)[0] for path in sorted(tmp_path.glob("*.wav")))
    pictures = list(reader.read_frames(tmp_path / "scene.mp4", np.arange(80) / 10, 96))
    model, results = trained.load(None), {}
    for name, sound in channels_of(violin, trumpet).items():
        video = write_video(tmp_path / f"{name}.mov", seconds=8.0, sound=sound, pictures=pictures)
        results[name] = outcome(video, tmp_path / name, model, dict(videos=False, names="none"))
        check_like_the_control(results[name], results["control"], name)
    assert len(results["control"][2]["sounds"]) == 2
