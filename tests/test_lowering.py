"""Lowers every step for GPUs and TPUs on this machine: no float64, no call to the host, no form for CPUs alone."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.harness.sizes import synthetic_batch
from mpnet_jax.methods.registry import method_of
from mpnet_jax.models.efficientnet import EfficientNetLite0, normalise_pictures
from mpnet_jax.parallel import DEVICE_AXIS
from mpnet_jax.steps.count_step import MODES
from tests.support.short_frame_net import ShortFrameNet
from tests.support.tiny_run import tiny_config

PLATFORMS = ("cuda", "tpu")
PRETRAINED = {
    "model.frame_net": "efficientnet_lite0",
    "model.frame_net_trained": "head",
    "model.resnet_dilated": False,
    "model.feature_dropout": 0.5,
    "model.visual_pooling": "logmeanexp",
    "data.feature_seconds": 1.0,
    "loss.class_weight": 0.3,
    "optimiser.name": "muon",
    "optimiser.average_decay": 0.99,
}


def config_of(**fields: Any) -> Any:
    config: Any = tiny_config(Path("data"))
    config.rounds.plus = config.rounds.both = 2
    config.update_from_flattened_dict(fields)
    return config


def lowered(function: Callable[..., Any], *trees: Any) -> str:
    """Returns the StableHLO text of a function for both platforms, with two devices as a mapped axis."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct((2, *np.shape(x)), x.dtype), trees)
    with mock.patch("jax.default_backend", return_value="cuda"):
        exported = jax.export.export(jax.jit(jax.vmap(function, axis_name=DEVICE_AXIS)), platforms=PLATFORMS)(*shapes)
    assert exported.platforms == PLATFORMS
    return exported.mlir_module()


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the ResNet, which is the same in all steps: it is lowered once in training and once in evaluation."""
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)


def batch_of(config: Any) -> Any:
    """Returns a batch that all steps accept."""
    batch = synthetic_batch(config)
    size, sources = batch["source_magnitude"].shape[:2]
    samples = config.audio.clip_samples
    return batch | {
        "mixture_phase": np.zeros_like(batch["mixture_magnitude"]),
        "source_waveform": np.zeros((size, sources, samples), np.float32),
        "valid": np.ones(size, bool),
        "index": np.zeros(size, np.int32),
    }


def state_of(config: Any) -> Any:
    """Returns the shapes of the state at the first step."""
    return jax.eval_shape(lambda: method_of(config).state_at(0))


def require_portable(text: str) -> None:
    """Fails for types and calls that a GPU or a TPU does not have or that run on the host."""
    assert not re.search(r"tensor<(?:[\dx?]*x)?f64>", text), "float64"
    calls = set(re.findall(r"custom_call @([\w.]+)", text))
    # Calls that XLA itself lowers on every platform.
    unknown = calls - {"Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape", "TopK", "ApproxTopK"}
    assert not unknown, f"custom calls {unknown}"
    assert "callback" not in text and "infeed" not in text and "outfeed" not in text


@pytest.mark.parametrize(
    "line",
    [
        "%1 = stablehlo.add %0, %0 : tensor<4x8xf64>",
        "%1 = stablehlo.constant dense<1.0> : tensor<f64>",
        "%1 = stablehlo.custom_call @xla_ffi_python_cpu_callback(%0)",
        "%1 = stablehlo.custom_call @lapack_sgesdd(%0)",
    ],
)
def test_what_an_accelerator_does_not_have_is_found(line: str) -> None:
    with pytest.raises(AssertionError):
        require_portable(line)


TRAINING = {
    "paper": {},
    "predicted order": {"recursion.training_order": "predicted", "recursion.energy": "written"},
    "pretrained eyes": PRETRAINED,
    "pixelplayer": {"method": "pixelplayer", "rounds.minus": 0, "rounds.plus": 0},
}


@pytest.mark.parametrize("name", TRAINING)
def test_training_steps_are_lowered_for_accelerators(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(**TRAINING[name])
    method, batch = method_of(config), batch_of(config)
    for each in method.rounds if name == "paper" else method.rounds[:1]:
        if name != "paper" or each != method.rounds[0]:
            shorten(monkeypatch)
        with mock.patch("jax.default_backend", return_value="cuda"):
            step = method.train_step(each)
        start = jax.eval_shape(lambda each=each: method.begin(method.initial_state(), each))
        text = lowered(step, start, batch)
        require_portable(text)
        assert "stablehlo.convolution" in text
        # On an accelerator the recursion stays a loop; for a CPU it would be unrolled.
        assert ("stablehlo.while" in text) == (config.method == "mpnet")


@pytest.mark.parametrize("frame_net", ["resnet", "short frame net"])
def test_evaluation_and_separation_are_lowered_for_accelerators(
    frame_net: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if frame_net == "short frame net":
        shorten(monkeypatch)
    config = config_of()
    method, batch, variables = method_of(config), batch_of(config), state_of(config).variables
    places = {"mixture_magnitude": batch["mixture_magnitude"], "frames": batch["frames"][:, 0]}
    with mock.patch("jax.default_backend", return_value="cuda"):
        steps = {
            **{result: (method.separate_step(result), batch) for result in method.results},
            **{mode: (method.count_step("mpnet", mode=mode), batch) for mode in MODES},
            "places": (method.place_step("mpnet", steps=3, epsilon_relative=0.2, with_features=True), places),
        }
    # The ResNet looks at the clips of a mixture, or at the places of a picture.
    names = (method.results[-1], "places") if frame_net == "resnet" else steps.keys() - {"places"}
    for step, inputs in map(steps.get, names):
        require_portable(lowered(step, variables, inputs))


def test_the_pretrained_trunk_is_lowered_for_accelerators() -> None:
    net = EfficientNetLite0(dilated=False)
    pictures = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.uint8)
    variables = jax.eval_shape(net.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32))

    text = lowered(lambda v, b: net.apply(v, normalise_pictures(b)), variables, pictures)
    require_portable(text)
    # The depthwise convolutions are the platform's grouped ones, not the sum of shifted maps that is faster on a CPU.
    assert re.search(r"feature_group_count = (?!1 )\d+", text)


def test_bfloat16_is_the_type_of_the_convolutions_and_of_nothing_that_is_kept() -> None:
    config = config_of(**{"model.compute": "bfloat16"})
    method, batch, state = method_of(config), batch_of(config), state_of(config)
    with mock.patch("jax.default_backend", return_value="cuda"):
        step = method.train_step(method.rounds[0])
    text = lowered(step, state, batch)
    require_portable(text)
    results = re.findall(r"stablehlo.convolution.*-> tensor<(?:\d+x)+(\w+)>", text)
    assert results and set(results) == {"bf16"}
    # Parameters, statistics and losses are float32.
    outputs = jax.eval_shape(
        jax.vmap(step, axis_name=DEVICE_AXIS),
        *jax.tree.map(lambda x: jax.ShapeDtypeStruct((2, *np.shape(x)), x.dtype), (state, batch)),
    )
    kinds = {leaf.dtype for leaf in jax.tree.leaves(outputs) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    assert kinds == {jnp.dtype("float32")}
