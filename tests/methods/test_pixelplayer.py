"""Tests of PixelPlayer: its steps against computations in NumPy, a run, and converted weights."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mpnet_jax.config.rounds import plan_rounds
from mpnet_jax.convert import convert
from mpnet_jax.evaluate import evaluate
from mpnet_jax.evaluation.options import EvaluationOptions
from mpnet_jax.methods.pixelplayer import (
    NETWORKS,
    SoundOfPixels,
    make_pixelplayer_separate_step,
    make_pixelplayer_train_step,
)
from mpnet_jax.methods.registry import method_of
from mpnet_jax.models.frame_net import FrameNetSpec
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.models.pixelplayer import PixelPlayer, Synthesizer
from mpnet_jax.parallel import DEVICE_AXIS
from mpnet_jax.pretrained import torch_weights
from mpnet_jax.recursion.candidates import Candidates
from mpnet_jax.recursion.minus_plus import minus_plus
from mpnet_jax.recursion.networks import bind
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.spectrogram.frequency import frequency_axis
from mpnet_jax.steps.train_state import TrainState
from mpnet_jax.steps.train_step import Learning
from mpnet_jax.train import train
from tests.steps.test_train_step import AUDIO, ROWS, SOURCES, random_batch
from tests.support.random_variables import random_variables
from tests.support.short_frame_net import ShortFrameNet
from tests.support.tiny_run import tiny_config
from tests.test_convert import state_dict, write_torch

MODEL = PixelPlayer(visual_channels=4, unet_depth=2, unet_features=2, frame_spec=FrameNetSpec(resnet_features=2))
AXIS = frequency_axis("log", ROWS, AUDIO)
# Compiled once for all tests, with the frame network of `problem`.
APPLY = jax.jit(MODEL.apply)
APPLY_IN_TRAINING = jax.jit(lambda *inputs: MODEL.clone(train=True).apply(*inputs, mutable=["batch_stats"]))


def test_synthesizer_by_hand():
    vectors, features = jnp.array([[[1.0, 2.0]]]), jnp.array([[[[3.0, 5.0]]]])
    variables = {"params": {"scale": jnp.array([10.0, 1.0]), "bias": jnp.array([0.5])}}
    logits = Synthesizer().apply(variables, vectors, lambda weights: features @ weights[:, None])
    np.testing.assert_allclose(logits, [[[[40.5]]]])


def test_pixelplayer_has_one_round():
    (one,) = plan_rounds({"minus": 0, "plus": 0, "both": 3}, SoundOfPixels.kinds)
    assert (one.trained, one.result) == (NETWORKS, "pixelplayer")
    with pytest.raises(ValueError, match="rounds: pixelplayer has one; give "):
        plan_rounds({"minus": 2, "plus": 0, "both": 3}, SoundOfPixels.kinds)


@pytest.fixture
def problem(monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    batch = {name: x if x.dtype == np.uint8 else x.astype(np.float32) for name, x in random_batch().items()}
    mixture = AXIS.warp(batch["mixture_magnitude"])
    variables = random_variables(MODEL, jnp.asarray(batch["frames"]), mixture)
    return jax.tree.map(jnp.asarray, variables), batch, mixture


@pytest.mark.parametrize(("mask", "distance"), [("binary", "cross_entropy"), ("ratio", "absolute")])
def test_loss_is_the_weighted_mean_over_sources(problem, mask, distance):
    variables, batch, mixture = problem
    optimiser = optax.sgd(0.1)
    step = make_pixelplayer_train_step(
        MODEL, Learning(optimiser, NETWORKS), axis_name=DEVICE_AXIS, axis=AXIS, floor=0.0, mask=mask, distance=distance
    )
    state = TrainState(jnp.zeros((), jnp.int32), variables["params"], variables["batch_stats"], ())
    # Run on one device, as `parallel` does.
    step = jax.jit(jax.vmap(step, in_axes=(None, 0), axis_name=DEVICE_AXIS))
    new, metrics = step(state.with_optimiser(optimiser, NETWORKS), jax.tree.map(lambda x: x[None], batch))
    new, metrics = jax.tree.map(lambda x: x[0], (new, metrics))
    (logits, _), _ = APPLY_IN_TRAINING(variables, jnp.asarray(batch["frames"]), mixture)
    masks = np.asarray(jax.nn.sigmoid(logits), np.float64)
    mixture = np.asarray(mixture)[:, None]
    share = np.asarray(AXIS.warp(batch["source_magnitude"])) / np.maximum(mixture, 1e-6)
    target = (share > 0.5) if mask == "binary" else np.clip(share, 0, 1)
    error = -np.log(np.where(target, masks, 1 - masks)) if mask == "binary" else np.abs(masks - target)
    expected = np.mean(np.clip(np.log1p(mixture), 1e-3, 10) * error)
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-4)
    for net in NETWORKS:
        moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), variables["params"][net], new.params[net])
        assert any(jax.tree.leaves(moved)), net


@pytest.mark.parametrize("mask", ["binary", "ratio"])
def test_masks_are_applied_to_the_mixture(problem, mask):
    variables, batch, mixture = problem
    run = make_pixelplayer_separate_step(MODEL, axis=AXIS, audio=AUDIO, floor=0.0, mask=mask)
    out = jax.tree.map(np.asarray, jax.jit(run)(variables, batch))
    masks = np.asarray(jax.nn.sigmoid(APPLY(variables, jnp.asarray(batch["frames"]), mixture)[0]))
    np.testing.assert_allclose(out["mask"], masks, atol=1e-5)
    share = np.einsum("fr,bsrt->bsft", AXIS.back, masks)
    written = (share > 0.5) if mask == "binary" else share
    np.testing.assert_allclose(out["magnitude"], written * batch["mixture_magnitude"][:, None], rtol=1e-3, atol=1e-4)


def test_without_scale_and_bias_its_masks_are_those_of_the_minus_nets_first_step(problem, monkeypatch):
    variables, batch, mixture = problem
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    synthesizer = {"scale": jnp.ones(4), "bias": jnp.zeros(1)}
    plain = variables | {"params": variables["params"] | {"synthesizer": synthesizer}}
    masks = np.asarray(jax.nn.sigmoid(APPLY(plain, jnp.asarray(batch["frames"]), mixture)[0]))
    model = MPNet(visual_channels=4, unet_depth=2, unet_features=2, frame_spec=FrameNetSpec(resnet_features=2))
    shared = {part: {"frame_net": x["frame_net"], "minus_net": x["sound_net"]} for part, x in variables.items()}
    look = jax.jit(lambda variables, frames: model.apply(variables, frames, method="look"))
    candidates = Candidates(look(shared, jnp.asarray(batch["frames"])))
    # The recursion's running statistics have an axis of steps.
    shared["batch_stats"]["minus_net"] = jax.tree.map(lambda x: x[None], shared["batch_stats"]["minus_net"])
    assert masks.shape[1] == SOURCES
    bound = bind({"minus_net": model, "plus_net": model}, shared, steps=1, with_plus=False)
    in_order = jax.jit(lambda order: minus_plus(mixture, candidates, bound, steps=1, rules=Rules(), order=order))
    for candidate in range(SOURCES):
        first = in_order(jnp.full((len(masks), 1), candidate))
        np.testing.assert_allclose(first.masks[0], masks[:, candidate], atol=1e-6)
    # The energies by which the recursion chooses are equal too.
    chosen = jax.jit(lambda: minus_plus(mixture, candidates, bound, steps=1, rules=Rules()))()
    energies = (masks * np.asarray(mixture)[:, None]).mean((2, 3))
    np.testing.assert_allclose(chosen.energies[0], energies, rtol=1e-5)
    np.testing.assert_array_equal(chosen.chosen[0], energies.argmax(1))


def test_a_run_trains_and_evaluates(tmp_path, tiny_set, monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    config = tiny_config(tiny_set)
    config.method = "pixelplayer"
    config.rounds.minus, config.rounds.both = 0, 2
    assert train(config, tmp_path / "run") == 0
    out = evaluate(config, tmp_path / "run", EvaluationOptions("test"))
    assert list(out["methods"]) == ["pixelplayer"]
    assert out["run"]["method"] == "PixelPlayer"


def test_its_weights_are_converted_into_a_run(tmp_path):
    config = tiny_config(tmp_path)
    config.method = "pixelplayer"
    config.rounds.minus, config.rounds.both = 0, 2
    state = jax.eval_shape(lambda: method_of(config).initial_state())
    tables = {
        "frame": ("frame_net", torch_weights.resnet_names()),
        "sound": ("sound_net", torch_weights.unet_names(3)),
        "synthesizer": ("synthesizer", torch_weights.synthesizer_names()),
    }
    files, entries = {}, {}
    for name, (net, table) in tables.items():
        shapes = {"params": state.params[net], "batch_stats": state.batch_stats.get(net, {})}
        entries[name] = state_dict(table, shapes)
        files[name] = write_torch(tmp_path / f"{name}.pth", entries[name])
    convert(config, tmp_path / "run", files)
    checkpoints = Checkpoints(tmp_path / "run", read_only=True)
    restored = checkpoints.restore_variables(state.variables, kind="best_pixelplayer")
    checkpoints.close()
    np.testing.assert_array_equal(restored["params"]["synthesizer"]["scale"], entries["synthesizer"]["scale"])
    bias = restored["params"]["sound_net"]["up_0"]["bias"]
    np.testing.assert_array_equal(bias, entries["sound"]["unet_block.model.4.bias"])
