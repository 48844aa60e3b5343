import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from data_pipeline.spec import AudioSpec
from mpnet_jax.configs import quickstart
from mpnet_jax.methods.registry import method_of
from mpnet_jax.models.frame_net import FrameNetSpec
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.recursion.places import energy_map
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.spectrogram.frequency import frequency_axis
from mpnet_jax.steps.place_step import Search, make_place_step
from tests.support.fusion import WITH_FUSION
from tests.support.random_variables import random_variables

MODEL = MPNet(2, 2, 2, FrameNetSpec(resnet_features=1), plus_features=2, visual_activation="none")
AUDIO = AudioSpec(rate_hz=100, clip_samples=60, fft_samples=32, hop_samples=8)
ROWS, BATCH, STEPS, FRAMES, HEIGHT, WIDTH = 8, 2, 4, 2, 3, 4
AXIS = frequency_axis("log", ROWS, AUDIO)


@pytest.fixture(scope="module")
def variables():
    frames, mixture = jnp.zeros((1, 1, 1, 16, 16, 3), jnp.uint8), jnp.ones((1, ROWS, AUDIO.time_frames))
    variables = jax.tree.map(jnp.asarray, random_variables(MODEL, frames, mixture))
    statistics = variables["batch_stats"]
    for net in ("minus_net", "plus_net"):
        statistics[net] = jax.tree.map(lambda x: x[None], statistics[net])
    return variables


@pytest.fixture(scope="module")
def run(variables):
    step = jax.jit(
        make_place_step(
            MODEL,
            axis=AXIS,
            audio=AUDIO,
            rules=Rules(epsilon_relative=0.01),
            mask="binary",
            with_plus=True,
            search=Search(STEPS, neighbourhood=0.25),
        ),
        compiler_options=WITH_FUSION,
    )
    return lambda batch: jax.tree.map(np.asarray, step(variables, batch))


def random_batch(levels=(1.0, 1.0)):
    rng = np.random.default_rng(0)
    waves = rng.standard_normal((BATCH, AUDIO.clip_samples)) * np.asarray(levels)[:, None]
    spectra = librosa.stft(waves, n_fft=AUDIO.fft_samples, hop_length=AUDIO.hop_samples, window="hann")
    return {
        "mixture_magnitude": np.abs(spectra).astype(np.float32),
        "mixture_phase": np.angle(spectra).astype(np.float32),
        "frames": rng.integers(0, 256, (BATCH, FRAMES, 16 * HEIGHT, 16 * WIDTH, 3), dtype=np.uint8),
    }


def test_each_step_takes_the_loudest_open_place(run, variables):
    batch = random_batch()
    out = run(batch)
    assert out["energy"].shape == (BATCH, STEPS, HEIGHT, WIDTH)
    assert np.all(out["active"][:, :2])
    vectors = MODEL.apply(variables, jnp.asarray(batch["frames"]), method="look_at_places")
    statistics = {"minus_net": jax.tree.map(lambda x: x[0], variables["batch_stats"]["minus_net"])}
    for step in range(2):
        before = jnp.asarray(out["before"][:, step])
        features = MODEL.apply({"params": variables["params"], "batch_stats": statistics}, before, method="listen")
        expected = energy_map(features, vectors, before)
        np.testing.assert_allclose(out["energy"][:, step], expected, rtol=1e-4)
    for sample in range(BATCH):
        still_open = np.ones((HEIGHT, WIDTH), bool)
        for step in np.flatnonzero(out["active"][sample]):
            row, column = out["place"][sample, step]
            energy = np.where(still_open, out["energy"][sample, step], -np.inf)
            assert energy[row, column] == energy.max()
            still_open[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = False


def test_the_separated_sound_is_subtracted_from_the_mixture(run):
    batch = random_batch()
    out = run(batch)
    mixture = np.einsum("rf,bft->brt", AXIS.forth, batch["mixture_magnitude"])
    np.testing.assert_allclose(out["before"][:, 0], mixture, rtol=1e-4, atol=1e-5)
    first = mixture - out["mask"][:, 0] * mixture  # the first step does not run the Plus-Net
    np.testing.assert_allclose(out["before"][:, 1], first, rtol=1e-3, atol=1e-4)
    assert np.all(out["remaining"] <= out["before"][:, -1] + 1e-6)
    assert out["waveform"].shape == (BATCH, STEPS, AUDIO.clip_samples)


def test_shares_relate_to_the_mixture_and_vectors_to_the_places(run, variables):
    batch = random_batch()
    out = run(batch)
    assert np.all((out["share"] >= 0) & (out["share"] <= 1))
    np.testing.assert_allclose(out["share"] * batch["mixture_magnitude"][:, None], out["magnitude"], atol=1e-6)
    vectors = np.asarray(MODEL.apply(variables, jnp.asarray(batch["frames"]), method="look_at_places"))
    for sample, step in np.argwhere(out["active"]):
        row, column = out["place"][sample, step]
        np.testing.assert_allclose(out["vector"][sample, step], vectors[sample, row, column], rtol=1e-4, atol=1e-6)


def test_without_a_phase_there_are_no_waveforms(run):
    batch = random_batch()
    out, both = run({name: batch[name] for name in ("mixture_magnitude", "frames")}), run(batch)
    assert both.keys() - out.keys() == {"waveform"}
    np.testing.assert_array_equal(out["share"], both["share"])


def test_a_silent_sample_has_no_sounds_and_does_not_change_others(run):
    out, both = run(random_batch((0.0, 1.0))), run(random_batch())
    assert not np.any(out["active"][0])
    assert np.all(out["place"][0] == -1)
    for name in ("magnitude", "share", "waveform", "mask", "vector", "energy", "remaining"):
        assert np.all(out[name][0] == 0), name
    for name, value in both.items():
        np.testing.assert_allclose(out[name][1], value[1], rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_outputs_of_an_ended_sample_are_zero(run):
    # The Plus-Net would restore sound in a sample that has ended, so it must not be run.
    out = run(random_batch((1.0, 0.0)))
    active = out["active"]
    assert np.any(active)
    for name in ("magnitude", "waveform", "mask", "energy"):
        assert np.all(out[name][~active] == 0), name
    assert np.all(out["place"][~active] == -1)
    assert np.all(out["place"][active] >= 0)


def test_a_config_sets_the_search_for_places():
    config = quickstart.get_config()
    config.model.unet_features = config.model.plus_features = config.model.resnet_features = 1
    config.recursion.neighbourhood = 0.5
    side, bins, columns = config.frames.crop_px, config.audio.fft_samples // 2 + 1, 128
    batch = {
        "mixture_magnitude": jnp.zeros((1, bins, columns)),
        "mixture_phase": jnp.zeros((1, bins, columns)),
        "frames": jnp.zeros((1, 3, side, side, 3), jnp.uint8),
    }
    state = jax.eval_shape(lambda: method_of(config).initial_state())
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    step = method_of(config).place_step("mnet", steps=5, epsilon_relative=0.1)
    out = jax.eval_shape(step, variables, batch)
    assert out["energy"].shape == (1, 5, 8, 8)
    assert out["waveform"].shape == (1, 5, config.audio.clip_samples)
    seen = {"features": jnp.zeros((1, 2, 8, 14, 1280))}  # of two frames of 240 x 420 pixels
    assert jax.eval_shape(step, variables, batch | seen)["energy"].shape == (1, 5, 8, 14)
    with pytest.raises(ValueError, match="steps=65 must be at most the number of candidates, 64"):
        jax.eval_shape(method_of(config).place_step("mnet", steps=65), variables, batch)
