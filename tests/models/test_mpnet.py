import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.models.frame_net import FrameNetSpec
from mpnet_jax.models.mpnet import MPNet
from tests.support.random_variables import random_variables
from tests.support.short_frame_net import ShortFrameNet

SIZES = {
    "visual_channels": 3,
    "unet_depth": 1,
    "unet_features": 2,
    "frame_spec": FrameNetSpec(resnet_features=2),
}


@pytest.fixture(scope="module")
def variables():
    frames, remaining = jnp.zeros((1, 1, 1, 16, 16, 3), jnp.uint8), jnp.ones((1, 8, 4))
    return random_variables(MPNet(**SIZES, plus_features=2), frames, remaining)


@pytest.fixture(scope="module")
def look(variables):
    return jax.jit(lambda frames: MPNet(**SIZES).apply(variables, frames, method="look"))


POOLINGS = {
    "max": np.max,
    "mean": np.mean,
    "logmeanexp": lambda x, axis: np.log(np.mean(np.exp(np.asarray(x, np.float64)), axis)),
}


def random_frames(*shape, sides=(16, 16)):
    """Returns pictures; tests with as many of the same sides share the ResNet's compiled operations."""
    return np.random.default_rng(0).integers(0, 256, (*shape, *sides, 3), dtype=np.uint8)


def test_each_clip_has_a_vector_between_zero_and_one(look):
    vectors = np.asarray(look(random_frames(2, 2, 2)))
    assert vectors.shape == (2, 2, 3)
    assert np.all((vectors > 0) & (vectors < 1))
    assert np.ptp(vectors) > 0.05


def test_a_clip_s_vector_is_the_maximum_over_its_pictures(look):
    frames = random_frames(2, 2, 2)
    swapped = frames[:, ::-1]
    first, second = (np.repeat(frames[:, :, t : t + 1], 2, axis=2) for t in range(2))
    np.testing.assert_allclose(look(frames), np.maximum(look(first), look(second)), rtol=1e-5)
    # A vector depends only on its own clip.
    np.testing.assert_allclose(look(swapped), np.asarray(look(frames))[:, ::-1], rtol=1e-5)


@pytest.mark.parametrize("stopped", [True, False])
def test_gradient_stops_at_the_log_magnitude(variables, stopped):
    model = MPNet(**SIZES, stop_gradient_input=stopped)
    remaining = jax.random.uniform(jax.random.key(1), (1, 8, 4), minval=0.1)

    def total(params, remaining):
        features = model.apply(variables | {"params": params}, remaining, method="listen")
        assert features.shape == (1, 8, 4, 3)
        return jnp.sum(features**2)

    by_params, by_input = jax.jit(jax.grad(total, argnums=(0, 1)))(variables["params"], remaining)
    assert max(float(jnp.max(jnp.abs(g))) for g in jax.tree.leaves(by_params["minus_net"])) > 0
    assert bool(jnp.any(by_input != 0)) is not stopped


@pytest.mark.parametrize("stopped", [True, False])
def test_gradient_stops_before_the_plus_net(variables, stopped):
    model = MPNet(**SIZES, plus_features=2, stop_gradient_input=stopped)
    remix, sound = jax.random.uniform(jax.random.key(1), (2, 1, 8, 4), minval=0.1)

    def total(params, remix, sound):
        logits = model.apply(variables | {"params": params}, remix, sound, method="give_back")
        assert logits.shape == (1, 8, 4)
        return jnp.sum(logits**2)

    by_params, *by_inputs = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(variables["params"], remix, sound)
    assert max(float(jnp.max(jnp.abs(g))) for g in jax.tree.leaves(by_params["plus_net"])) > 0
    assert [bool(jnp.any(g != 0)) for g in by_inputs] == [not stopped] * 2


def test_silence_gives_finite_features(variables):
    features = jax.jit(lambda v: MPNet(**SIZES).apply(v, jnp.zeros((1, 8, 4)), method="listen"))(variables)
    assert np.all(np.isfinite(features))


def test_the_mean_is_taken_over_frames_and_places(variables):
    frames = jnp.asarray(random_frames(2, 2, 2))
    options = {"visual_activation": "none"}
    mean, largest = (
        MPNet(**SIZES, visual_pooling=pooling, **options).apply(variables, frames, method="look")
        for pooling in ("mean", "max")
    )
    assert np.all(mean < largest)
    # With running statistics, the vector of a clip of two frames is the mean of the vectors of its frames.
    apart = MPNet(**SIZES, visual_pooling="mean", **options)
    alone = [apart.apply(variables, jnp.stack([frames[:, :, t]] * 2, axis=2), method="look") for t in range(2)]
    np.testing.assert_allclose(mean, (alone[0] + alone[1]) / 2, rtol=1e-4, atol=1e-5)


def test_the_activation_acts_on_the_pooled_vector(variables, look):
    frames = random_frames(2, 2, 2)
    plain = MPNet(**SIZES, visual_activation="none").apply(variables, jnp.asarray(frames), method="look")
    np.testing.assert_allclose(look(frames), jax.nn.sigmoid(plain), rtol=1e-5)


@pytest.mark.parametrize(("pooling", "activation"), [("max", "sigmoid"), ("mean", "none"), ("logmeanexp", "none")])
def test_a_clip_s_vector_is_its_places_pooled(variables, pooling, activation):
    # A clip's vector is pooled over frames and places, a place's vector over frames.
    model = MPNet(**SIZES, visual_pooling=pooling, visual_activation=activation)
    frames = random_frames(2, 2, sides=(64, 80))
    by_place = model.apply(variables, jnp.asarray(frames), method="look_at_places")
    assert by_place.shape == (2, 4, 5, 3)  # A 16th of each side.
    whole = model.apply(variables, jnp.asarray(frames[:, None]), method="look")
    np.testing.assert_allclose(POOLINGS[pooling](by_place, (1, 2)), whole[:, 0], rtol=1e-5)
    assert float(jnp.ptp(by_place)) > 0.01


def test_a_place_is_pooled_over_frames(variables):
    model = MPNet(**SIZES)
    frames = random_frames(2, 2, sides=(64, 80))
    both, first, second = (
        model.apply(variables, jnp.asarray(f), method="look_at_places")
        for f in (frames, np.stack([frames[:, 0]] * 2, 1), np.stack([frames[:, 1]] * 2, 1))
    )
    np.testing.assert_allclose(both, np.maximum(first, second), rtol=1e-5)


@pytest.mark.parametrize(("pooling", "activation"), [("max", "sigmoid"), ("mean", "none"), ("logmeanexp", "none")])
def test_places_are_pooled_over_squares(variables, pooling, activation):
    frames = jnp.asarray(random_frames(2, 2, sides=(64, 80)))
    options = {"visual_pooling": pooling, "visual_activation": activation}
    single, square, all_of_it = (
        MPNet(**SIZES, **options, place_side=side).apply(variables, frames, method="look_at_places")
        for side in (1, 3, 11)
    )
    pool = POOLINGS[pooling]
    assert square.shape == single.shape == (2, 4, 5, 3)
    np.testing.assert_allclose(square[0, 2, 2], pool(single[0, 1:4, 1:4], (0, 1)), rtol=1e-5)
    np.testing.assert_allclose(square[0, 0, 0], pool(single[0, :2, :2], (0, 1)), rtol=1e-5)  # Fewer places at a corner.
    whole = MPNet(**SIZES, **options).apply(variables, frames[:, None], method="look")
    np.testing.assert_allclose(all_of_it[0], np.broadcast_to(whole[0, 0], (4, 5, 3)), rtol=1e-5)


def test_plus_bias_makes_the_initial_masks_small(monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    frames, remaining = jnp.zeros((1, 1, 1, 16, 16, 3), jnp.uint8), jnp.ones((1, 8, 4))
    model = MPNet(**SIZES, plus_features=2, plus_bias=-3.0)
    variables = jax.jit(model.init)(jax.random.key(0, impl="rbg"), frames, remaining)
    np.testing.assert_array_equal(variables["params"]["plus_net"]["up_0"]["bias"], [-3.0])
    np.testing.assert_array_equal(variables["params"]["minus_net"]["up_0"]["bias"], np.zeros(3))
    given = jax.jit(lambda v, x: model.apply(v, x, x, method="give_back"))(variables, remaining)
    np.testing.assert_allclose(jax.nn.sigmoid(given), 0.047, atol=2e-3)
