"""Tests of the library: `Separator`, `Separation` and the sound of a place."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

import mpnet_jax
from data_pipeline.command import InputError
from mpnet_jax import Cancelled, Separation, Separator
from mpnet_jax.methods.registry import method_of
from mpnet_jax.recursion.candidates import Candidates, candidate_energies
from mpnet_jax.separation.network import WindowFeatures, make_separator
from mpnet_jax.separation.place_sounds import FeatureFiles, PlaceSounds
from mpnet_jax.separation.synthesis import Synthesis
from mpnet_jax.weights.trained import Model
from tests.separation.conftest import duet
from tests.support.oracle import PLACES, SHAPE
from tests.support.repository import ROOT
from tests.support.short_frame_net import ShortFrameNet
from tests.support.tiny_run import tiny_config
from tests.support.tiny_videos import write_video

RATE_HZ = 44_100
# The centres of the places of the oracle's low and high player: x from the left, y from the top.
LOW, HIGH = (((column + 0.5) / SHAPE[1], (row + 0.5) / SHAPE[0]) for row, column in PLACES)


@pytest.fixture
def video(tmp_path) -> Path:
    low, high = duet(RATE_HZ, 3.0)
    return write_video(tmp_path / "a.mov", seconds=3.0, sound=low + 0.9 * high)


@pytest.fixture
def separation(model, oracle, video):
    with Separator(model, sounds=2, names=False).separate_file(video) as separation:
        yield separation


def test_a_separation_has_sounds_that_sum_to_the_mixture(separation):
    low, high = duet(RATE_HZ, 3.0)
    assert [sound.number for sound in separation.sounds] == [1, 2]
    truths = sorted((low, 0.9 * high), key=lambda truth: -np.sum(np.square(truth)))
    for sound, truth in zip(separation.sounds, truths, strict=True):
        assert sound.waveform.dtype == np.float32 and sound.name is None
        np.testing.assert_allclose(sound.waveform, truth, atol=1e-3)
        assert sound.heat.shape == (separation.summary["windows_heard"], *SHAPE)
        assert sound.place in {(0.5833, 0.1875), (0.5833, 0.8125)}
    total = sum(sound.waveform for sound in separation.sounds) + separation.residual
    np.testing.assert_allclose(total, separation.mixture, atol=1e-6)
    np.testing.assert_allclose(separation.mixture, low + 0.9 * high, atol=1e-3)
    assert separation.seconds == pytest.approx(3.0, abs=0.01) and separation.rate_hz == RATE_HZ


def test_the_sound_of_a_place_is_that_of_its_player(separation):
    assert separation.places == SHAPE
    low, high = duet(RATE_HZ, 3.0)
    for place, truth in ((LOW, low), (HIGH, 0.9 * high)):
        np.testing.assert_allclose(separation.sound_at(*place), truth, atol=5e-3)
    # The mask of a place without a player is 1/2 everywhere.
    np.testing.assert_allclose(separation.sound_at(0.99, 0.0), 0.5 * separation.mixture, atol=1e-3)
    np.testing.assert_allclose(separation.share_at(1.0, 0.0), 0.5, atol=1e-3)
    shares = separation.share_at(*LOW) + separation.share_at(*HIGH)
    np.testing.assert_allclose(shares, 1.0, atol=0.02)


@pytest.mark.parametrize("place", [(1.01, 0.5), (0.5, -0.1), (float("nan"), 0.5)])
def test_a_place_outside_the_picture_is_refused(separation, place):
    with pytest.raises(ValueError, match="lies outside the picture; give fractions of it"):
        separation.sound_at(*place)


def test_the_steps_take_the_sounds_from_what_remains(separation):
    steps = separation.steps(0)
    assert {step.number for step in steps} == {1, 2}
    first, second = steps
    np.testing.assert_allclose(first.before - first.taken, second.before, atol=0.01)
    assert first.before.shape == (len(separation.step_hz), 32)
    assert {step.place for step in steps} == {(0.5833, 0.1875), (0.5833, 0.8125)}
    with pytest.raises(ValueError, match="window=1000 must lie between 0 and"):
        separation.steps(1000)


def test_a_saved_separation_is_the_same(tmp_path, separation):
    separation.save(tmp_path / "saved")
    loaded = Separation.load(tmp_path / "saved")
    assert loaded.summary == separation.summary
    np.testing.assert_array_equal(loaded.sounds[1].waveform, separation.sounds[1].waveform)
    np.testing.assert_array_equal(loaded.sound_at(*LOW), separation.sound_at(*LOW))
    written = loaded.write(tmp_path / "out", format="flac", videos=False, pattern="{video}_{number}")
    names = {"a_1.flac", "a_2.flac", "a_0.flac", "index.html", "separation.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert written["sounds"][0]["file"] == "a_1.flac"
    loaded.close()
    assert (tmp_path / "saved").is_dir()
    with pytest.raises(InputError, match="holds no finished separation; separate the video again"):
        Separation.load(tmp_path / "out")


def test_arrays_are_separated_like_a_file(model, oracle, video):
    low, high = duet(8000, 2.0, 1)
    pictures = np.zeros((20, 48, 64, 3), np.uint8)
    fractions = []
    separator = Separator(model, sounds=2, names=False, progress=fractions.append)
    with separator.separate((low + high)[0], 8000, pictures, 10.0) as separation:
        np.testing.assert_allclose(separation.sounds[0].waveform, low, atol=1e-3)
        assert separation.summary["video"]["file"] is None
        folder = separation.folder
    assert not folder.exists()
    assert fractions == sorted(fractions) and fractions[0] == 0.0 and fractions[-1] == 1.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((np.zeros((1, 0)), 8000, np.zeros((1, 8, 8, 3), np.uint8), 1.0), "waveform has the shape"),
        ((np.full(9, np.nan), 8000, np.zeros((1, 8, 8, 3), np.uint8), 1.0), "that is not finite"),
        ((np.zeros(9), 8000, np.zeros((1, 8, 8, 3)), 1.0), "and the type float64; give uint8"),
        ((np.zeros(9), 0, np.zeros((1, 8, 8, 3), np.uint8), 1.0), "rate_hz=0 and fps=1.0 must be positive"),
    ],
)
def test_unusable_arrays_are_refused(model, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        Separator(model, names=False).separate(*arguments)


def test_unusable_options_are_refused(model, tmp_path):
    for options, sentence in (
        ({"sounds": 9}, "sounds=9 must lie between 1 and 8"),
        ({"most_sounds": 0}, "most_sounds=0 must lie between"),
        ({"picture_px": 8}, "picture_px=8 must lie between 32 and 1024"),
    ):
        with pytest.raises(InputError, match=sentence):
            Separator(model, names=False, **options)


def test_a_cancelled_separation_leaves_nothing(tmp_path, model, oracle, video, monkeypatch):
    def cancel(fraction: float) -> None:
        if fraction > 0.3:
            raise Cancelled

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    separator = Separator(model, names=False, progress=cancel)
    for work in (None, tmp_path / "work"):
        with pytest.raises(Cancelled):
            separator.separate_file(video, work=work)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mov", "temporary"}
    assert list((tmp_path / "temporary").iterdir()) == []


def test_windows_are_the_parts_of_the_recording(model, oracle, video):
    low, high = duet(RATE_HZ, 3.0)
    parts = list(Separator(model, names=False).windows(video, sounds=2))
    recording = np.concatenate([part.recording for part in parts], axis=1)
    np.testing.assert_allclose(recording, low + 0.9 * high, atol=1e-3)
    first = np.concatenate([part.sounds.get(1, 0 * part.recording) for part in parts], axis=1)
    np.testing.assert_allclose(first, low, atol=1e-3)
    assert [part.start_s for part in parts] == sorted({part.start_s for part in parts})


def test_without_feature_maps_there_is_no_sound_of_a_place(model, oracle, video):
    with Separator(model, names=False, keep_places=False).separate_file(video) as separation:
        with pytest.raises(InputError, match="separate the video with keep_places=True"):
            separation.sound_at(0.5, 0.5)


def test_the_masks_of_all_places_are_those_of_the_network(tmp_path, monkeypatch):
    """The masks of the recursion's first step are the reference: its candidates, their energies and their shares."""
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    method = method_of(tiny_config(tmp_path))
    model = Model(
        method, jax.tree.map(np.asarray, method.initial_state().variables), {"method": "mnet", "epsilon_relative": 0.1}
    )
    rng = np.random.default_rng(0)
    audio, count = method.audio, 3
    batch = {
        "mixture_magnitude": rng.gamma(1.0, 1.0, (count, audio.freq_bins, audio.time_frames)).astype(np.float32),
        "frames": rng.integers(0, 256, (count, 1, 8, 12, 3), dtype=np.uint8),  # 2 x 3 places
    }
    out = make_separator(model, sounds=1, most=1, keep_places=True)(batch)
    files = FeatureFiles(tmp_path)
    for index in range(count):
        files.add(WindowFeatures(*(out[name][index] for name in ("features", "vectors", "remainders"))))
    files.close()
    facts = {"windows": count, "rate_hz": 8000, "channels": 1, "features": files.shapes, "frequency_axis": "log"}
    facts["audio"] = {name: getattr(audio, name) for name in audio.__dataclass_fields__}
    places = PlaceSounds(tmp_path, facts)
    rows, columns = places.grid
    # (window, place, freq, time), place by place.
    masks = np.stack([places.masks((row, column)) for row in range(rows) for column in range(columns)], axis=1)
    mixture = np.asarray(method.axis.warp(batch["mixture_magnitude"]))
    features, vectors = jnp.asarray(out["features"], jnp.float32), jnp.asarray(out["vectors"])
    flat = vectors.reshape(count, rows * columns, -1)
    expected = jax.nn.sigmoid(jnp.einsum("bck,bftk->bcft", flat, features))
    np.testing.assert_allclose(masks, expected, atol=1e-5)
    # Float16 features change the masks by less than their own rounding, 2**-11 relative.
    energies = np.asarray(candidate_energies(features, Candidates(flat), jnp.asarray(mixture)))
    np.testing.assert_allclose(out["energy"][:, 0].reshape(count, -1), energies, rtol=2e-3)
    np.testing.assert_allclose((masks * mixture[:, None]).mean(axis=(2, 3)), energies, rtol=2e-3)
    # The mask of the chosen place is the share of the sound that the network separated.
    for index in range(count):
        row, column = out["place"][index, 0]
        share = np.asarray(method.axis.unwarp(places.masks((int(row), int(column)))[index]))
        np.testing.assert_allclose(out["share"][index, 0], share, atol=2e-3)
    np.testing.assert_allclose(
        places.share((0, 0)), (masks[:, 0] * mixture).sum(axis=(1, 2)) / mixture.sum(axis=(1, 2)), rtol=2e-3
    )


@pytest.mark.parametrize(("rate_hz", "channels"), [(44_100, 2), (8000, 1), (48_000, 1)])
def test_a_sound_of_a_place_is_that_of_the_synthesis(tmp_path, model, oracle, rate_hz, channels):
    rng = np.random.default_rng(1)
    sound = rng.normal(0, 0.1, (channels, round(2.3 * rate_hz))).astype(np.float32)
    with Separator(model, names=False).separate(sound, rate_hz, np.zeros((1, 48, 64, 3), np.uint8), 1.0) as separation:
        places = separation._place_sounds()
        # A mask that changes over frequency and time.
        count, rows = places._count, len(separation.step_hz)
        masks = rng.uniform(0, 1, (count, rows, 1)) * np.ones((count, rows, 32))
        places.masks = lambda place, first=0, last=None: masks[first:last].astype(np.float32)
        found = separation.sound_at(0.5, 0.5)
        half = places._half
        synthesis = Synthesis(rate_hz, channels, model.method.audio)
        synthesis.add_recording(separation.mixture, separation.mixture)
        whole = synthesis.apply(
            {1: places._joined((0, 0), slice(0, (count + 1) * half))}, (count + 1) * half, last=True
        )
    assert found.shape == sound.shape
    # The transforms have different lengths, and the resampling keeps 0.9 of the band's next octave.
    error = np.sqrt(np.mean(np.square(found - whole.sounds[1])) / np.mean(np.square(whole.sounds[1])))
    assert error < 0.02, error


def test_the_written_files_are_the_stems(tmp_path, separation):
    separation.write(tmp_path / "out", videos=False)
    written = soundfile.read(tmp_path / "out" / "sound1.wav", dtype="float32", always_2d=True)[0].T
    np.testing.assert_array_equal(written, separation.sounds[0].waveform)


def test_the_package_is_imported_without_its_dependencies():
    program = "import sys, mpnet_jax; print([name for name in ('jax', 'numpy', 'absl') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "[]\n"
    assert set(mpnet_jax.__all__) <= set(dir(mpnet_jax))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        mpnet_jax.Nothing  # noqa: B018
