"""Tests that one class adds a method, which is trained and evaluated like the shipped ones."""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest

from data_pipeline.command import InputError
from mpnet_jax.config.rounds import RoundKind
from mpnet_jax.evaluate import evaluate
from mpnet_jax.evaluation.options import EvaluationOptions
from mpnet_jax.methods import registry, settings
from mpnet_jax.methods.registry import method_of
from mpnet_jax.parallel import DEVICE_AXIS
from mpnet_jax.steps.separate_step import Written, evaluation_step
from mpnet_jax.steps.train_step import gradient_step
from mpnet_jax.train import train
from tests.support.tiny_run import tiny_config


class OneShare(nn.Module):
    """Learns one number: the share of the mixture that every source gets."""

    @nn.compact
    def __call__(self, mixture):
        share = nn.sigmoid(nn.Dense(1, name="share_net")(jnp.ones(1)))
        # A method needs running statistics.
        return share + 0.0 * nn.BatchNorm(use_running_average=True, use_bias=False, use_scale=False)(mixture)


@pytest.fixture
def fourth(monkeypatch):
    """Registers a method that is not part of the package."""
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))

    @registry.register
    class EqualShares(registry.Method):
        name = "equal_shares"
        kinds: ClassVar = {"both": RoundKind(("share_net",), "equal_shares")}

        def model(self):
            return OneShare()

        def model_inputs(self):
            return (jax.ShapeDtypeStruct((1, self.config.audio.frequency_rows, self.audio.time_frames), jnp.float32),)

        def train_step(self, each):
            def loss_fn(learnt, state, batch):
                mixture, sources = (self.axis.warp(batch[f"{of}_magnitude"]) for of in ("mixture", "source"))
                share = OneShare().apply({"params": learnt, "batch_stats": state.batch_stats}, mixture)
                loss = jnp.mean(jnp.abs(share[:, None] * mixture[:, None] - sources))
                return loss, (state.batch_stats, {"loss": jax.lax.pmean(loss, DEVICE_AXIS)})

            return gradient_step(loss_fn, settings.learning(self.config, each))

        def separate_step(self, result):
            del result

            def separated(variables, batch, mixture):
                share = jnp.repeat(OneShare().apply(variables, mixture)[:, None], batch["frames"].shape[1], axis=1)
                before = jnp.broadcast_to(mixture[:, None], share.shape)
                return Written(self.axis.unwarp(share), share, before, jnp.zeros(share.shape[:2], jnp.int32))

            return evaluation_step(separated, axis=self.axis, audio=self.audio, floor=0.0, mask="ratio")

    return EqualShares


def test_a_fourth_method_is_one_class(fourth, tiny_set, tmp_path):
    config = tiny_config(tiny_set)
    config.method, config.mask = "equal_shares", "ratio"
    config.rounds.minus, config.rounds.both = 0, 4
    assert isinstance(method_of(config), fourth)
    assert train(config, tmp_path / "run") == 0
    out = evaluate(config, tmp_path / "run", EvaluationOptions("test"))
    assert list(out["methods"]) == ["equal_shares"] and out["run"]["step"] in (2, 4)
    assert out["nsdr"]["mean"] == pytest.approx(0.0, abs=0.5)  # every source is the mixture at another level
    with pytest.raises(InputError, match=r"--counting needs the recursion, and config\.method=equal_shares has none"):
        evaluate(config, tmp_path / "run", EvaluationOptions("test", counting=True))


def test_an_unknown_method_is_refused_in_one_sentence(tmp_path):
    config = tiny_config(tmp_path)
    config.method = "beamformer"
    with pytest.raises(InputError, match=r"'beamformer' is unknown; use one of miml, mpnet, pixelplayer"):
        method_of(config)


def test_a_method_names_its_results_and_the_networks_of_its_rounds(tmp_path):
    config = tiny_config(tmp_path)
    method = method_of(config)
    assert (method.name, method.results, method.has_recursion) == ("mpnet", ("mnet", "mpnet"), True)
    assert method.results_with(["frame_net"]) == ["mnet"]
    assert method.results_with(["minus_net", "plus_net"]) == ["mnet", "mpnet"]
    state = method.initial_state()
    assert set(method.rounds[-1].trained) <= state.params.keys()
    assert optax.tree.norm(state.params) > 0
