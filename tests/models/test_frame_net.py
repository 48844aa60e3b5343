"""Tests of the frame network with a pretrained trunk: its head, its pooling, its noise, and what is frozen."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.models.efficientnet import normalise_pictures
from mpnet_jax.models.frame_net import NOISE, FrameNetSpec, PretrainedFrameNet
from mpnet_jax.models.layers.batch_norm import BatchNorm
from mpnet_jax.models.visual import clip_vectors, place_vectors
from tests.support.random_variables import random_variables

CHANNELS = 6
SPEC = FrameNetSpec("efficientnet_lite0", trained="head")
FRAMES = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 3, 2, 16, 16, 3), np.uint8))


class ShortTrunk(nn.Module):
    """Takes the place of the EfficientNet: a convolution and a normalisation."""

    dilated: bool = True
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9
    compute_dtype: object = None

    @nn.compact
    def __call__(self, pictures):
        x = nn.Conv(CHANNELS, (4, 4), strides=4, name="conv")(pictures)
        return BatchNorm(self.train, self.axis_name, decay=self.statistics_decay, name="norm")(x)


class Looker(nn.Module):
    """Returns the vectors of clips or places with one frame network."""

    spec: FrameNetSpec = SPEC
    pooling: str = "mean"
    train: bool = False
    side: int = 1

    def setup(self):
        self.frame_net = self.spec.build(4, train=self.train, axis_name=None)

    def __call__(self, seen):
        return clip_vectors(self.frame_net, seen, pooling=self.pooling, activation="none")

    def places(self, frames):
        return place_vectors(self.frame_net, frames, pooling=self.pooling, activation="none", side=self.side)

    def features(self, pictures):
        return self.frame_net.features(pictures)


@pytest.fixture(autouse=True)
def short_trunk(monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.EfficientNetLite0", ShortTrunk)


@pytest.fixture
def variables():
    return jax.tree.map(jnp.asarray, random_variables(Looker(), FRAMES))


def kept(variables, pooled):
    """Returns what the feature pass keeps of the frames, (batch, source, frame, h, w, channel)."""
    maps = Looker().apply(variables, FRAMES.reshape(-1, 16, 16, 3), method="features")
    maps = maps.mean((1, 2), keepdims=True) if pooled else maps
    return maps.reshape(*FRAMES.shape[:3], *maps.shape[1:])


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_kept_features_give_the_vectors_of_the_pictures(variables, pooling):
    looker = Looker(pooling=pooling)
    seen = looker.apply(variables, FRAMES)
    np.testing.assert_allclose(looker.apply(variables, kept(variables, pooling == "mean")), seen, atol=1e-5)
    assert seen.shape == (2, 3, 4) and np.abs(seen).max() > 0.1


def test_the_mean_of_places_is_the_vector_of_the_clip(variables):
    places = Looker().apply(variables, FRAMES[:, 0], method="places")
    assert places.shape == (2, 4, 4, 4)
    np.testing.assert_allclose(places.mean((1, 2)), Looker().apply(variables, FRAMES)[:, 0], atol=1e-5)
    whole = Looker(side=9).apply(variables, FRAMES[:, 0], method="places")
    np.testing.assert_allclose(whole, np.broadcast_to(whole[:, :1, :1], whole.shape), atol=1e-5)


def gradient_and_statistics(spec, variables):
    looker = Looker(spec=spec, train=True)

    def loss(params):
        out, updated = looker.apply(
            variables | {"params": params}, FRAMES, mutable=["batch_stats"], rngs={NOISE: jax.random.key(0)}
        )
        return jnp.sum(out**3), updated["batch_stats"]

    return jax.grad(loss, has_aux=True)(variables["params"])


@pytest.mark.parametrize(("trained", "learns"), [("head", False), ("all", True)])
def test_a_frozen_trunk_has_no_gradient_and_keeps_its_statistics(variables, trained, learns):
    gradient, statistics = gradient_and_statistics(dataclasses.replace(SPEC, trained=trained), variables)
    before = variables["batch_stats"]["frame_net"]
    assert bool(np.any(gradient["frame_net"]["trunk"]["conv"]["kernel"])) == learns
    assert bool(np.any(statistics["frame_net"]["trunk"]["norm"]["mean"] != before["trunk"]["norm"]["mean"])) == learns
    assert np.any(gradient["frame_net"]["conv_out"]["kernel"])
    assert np.any(statistics["frame_net"]["norm_out"]["mean"] != before["norm_out"]["mean"])


@pytest.mark.parametrize("change", [{"noise": 0.5}, {"dropout": 0.5}])
def test_noise_and_dropout_act_in_training_alone(variables, change):
    spec = dataclasses.replace(SPEC, **change)

    def look(seed, train):
        looker = Looker(spec=spec, train=train)
        return looker.apply(variables, FRAMES, mutable=["batch_stats"], rngs={NOISE: jax.random.key(seed)})[0]

    np.testing.assert_array_equal(look(0, train=True), look(0, train=True))
    assert np.abs(look(0, train=True) - look(1, train=True)).min() > 0
    np.testing.assert_array_equal(look(0, train=False), look(1, train=False))


def test_all_places_of_a_picture_lose_the_same_features(variables):
    head = PretrainedFrameNet(4, dataclasses.replace(SPEC, dropout=0.5), train=True)
    own = variables["params"]["frame_net"], variables["batch_stats"]["frame_net"]
    # Equal places of random pictures: without dropout, and with the same dropout, their vectors are equal.
    maps = jnp.broadcast_to(
        jnp.asarray(np.random.default_rng(0).standard_normal((5, 1, 1, CHANNELS))), (5, 3, 3, CHANNELS)
    )
    y, _ = head.apply(
        {"params": own[0], "batch_stats": own[1]},
        maps,
        method="head",
        rngs={NOISE: jax.random.key(0)},
        mutable=["batch_stats"],
    )
    np.testing.assert_allclose(y, jnp.broadcast_to(y[:, :1, :1], y.shape), rtol=1e-6)
    without, _ = head.clone(spec=SPEC).apply(
        {"params": own[0], "batch_stats": own[1]}, maps, method="head", mutable=["batch_stats"]
    )
    assert not np.allclose(y, without)


def test_dropout_keeps_the_expected_vector(variables):
    head = PretrainedFrameNet(4, dataclasses.replace(SPEC, dropout=0.5, noise=0.3), train=True)
    x = jnp.asarray(np.random.default_rng(1).standard_normal((64, CHANNELS)), jnp.float32)
    own = {part: trees["frame_net"] for part, trees in variables.items()}

    def run(module, key):
        return module.apply(own, x, method="head", mutable=["batch_stats"], rngs={NOISE: key})[0]

    draws = jax.jit(jax.vmap(lambda key: run(head, key)))(jax.random.split(jax.random.key(0), 2000))
    plain = run(PretrainedFrameNet(4, SPEC, train=True), jax.random.key(0))
    np.testing.assert_allclose(draws.mean(0), plain, atol=0.2)
    assert draws.std(0).min() > 0.1


def test_pictures_are_normalised_as_the_trunk_expects(variables):
    frames = jnp.full((1, 1, 1, 16, 16, 3), 200, jnp.uint8)
    maps = Looker().apply(variables, frames[0, 0], method="features")
    own = {part: trees["frame_net"]["trunk"] for part, trees in variables.items()}
    np.testing.assert_allclose(maps, ShortTrunk().apply(own, normalise_pictures(frames[0, 0])), rtol=1e-6)
