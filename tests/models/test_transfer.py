"""Tests of a Plus-Net that is initialised with the weights of the Minus-Net."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipeline.command import InputError
from mpnet_jax.config.rounds import Round
from mpnet_jax.methods.mpnet import MinusPlus
from mpnet_jax.methods.registry import method_of
from mpnet_jax.models.frame_net import FrameNetSpec
from mpnet_jax.models.mpnet import MPNet
from mpnet_jax.models.transfer import has_learnt, plus_of_minus
from tests.support.random_variables import random_variables
from tests.support.short_frame_net import ShortFrameNet
from tests.support.tiny_run import tiny_config


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    config = tiny_config(tmp_path)
    config.model.plus_start = "minus_net"
    config.rounds.plus = config.rounds.both = 2
    config.mixing.sources = 3
    return config


@pytest.fixture
def state(config):
    """Returns a state whose Minus-Net is trained: its leaves have random values."""
    state = jax.tree.map(np.asarray, method_of(config).initial_state())
    rng = np.random.default_rng(0)

    def drawn(tree):
        return jax.tree.map(lambda x: rng.random(x.shape, np.float32), tree)

    return state.replace(
        params=state.params | {"minus_net": drawn(state.params["minus_net"])},
        batch_stats=state.batch_stats | {"minus_net": drawn(state.batch_stats["minus_net"])},
    )


def test_the_remix_takes_the_place_of_the_mixture(state, config):
    """With one input channel and the Minus-Net's last layer, the Plus-Net equals the first step's Minus-Net."""
    result = plus_of_minus(state.variables)
    params, statistics = result["params"]["plus_net"], result["batch_stats"]["plus_net"]
    assert jax.tree.map(np.shape, result) == jax.tree.map(np.shape, state.variables)
    remix, sound = jnp.asarray(np.random.default_rng(1).random((2, 2, 32, 32), np.float32))
    model = method_of(config).model()
    one_map = {name: leaf[..., :1] for name, leaf in state.params["minus_net"]["up_0"].items()}
    kernel = params["down_0"]["kernel"].copy()
    kernel[:, :, 1] = 0.0
    actual = model.apply(
        {
            "params": result["params"] | {"plus_net": params | {"up_0": one_map, "down_0": {"kernel": kernel}}},
            "batch_stats": result["batch_stats"] | {"plus_net": jax.tree.map(lambda x: x[1], statistics)},
        },
        remix,
        sound,
        method="give_back",
    )
    expected = model.apply(
        state.variables | {"batch_stats": {"minus_net": jax.tree.map(lambda x: x[0], state.batch_stats["minus_net"])}},
        remix,
        method="listen",
    )
    np.testing.assert_allclose(actual, expected[..., 0], rtol=1e-5, atol=1e-5)


INPUTS = ("remix", "sound", "remaining", "mixture")


def test_a_plus_net_that_looks_begins_as_the_whole_minus_net():
    """It is the Minus-Net of the first step, asked for the sound's source in the remix, whatever else it is given."""
    model = MPNet(3, 2, 2, FrameNetSpec(resnet_features=1), plus_features=2, plus_looks=True, plus_inputs=INPUTS)
    variables = random_variables(model, jnp.zeros((2, 1, 1, 16, 16, 3), jnp.uint8), jnp.ones((2, 8, 8)))
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        spectra = [jnp.asarray(rng.gamma(0.5, 1.0, (2, 8, 8))) for _ in INPUTS]
        vectors = jnp.asarray(rng.standard_normal((2, 3)))
        variables = jax.tree.map(lambda x: np.asarray(x, np.float64), variables)
        sets = {net: jax.tree.map(lambda x: np.stack([x, x + 1]), x) for net, x in variables["batch_stats"].items()}
        result = plus_of_minus({"params": variables["params"], "batch_stats": sets}, whole=True)
        statistics = jax.tree.map(lambda x: x[1], result["batch_stats"]["plus_net"])
        own = {"params": result["params"], "batch_stats": {"plus_net": statistics}}
        given = model.apply(own, *spectra, vectors=vectors, method="give_back")
        asked = model.apply(variables, spectra[0], vectors, method="mask_logits")
        given, asked = np.asarray(given), np.asarray(asked)
    assert asked.dtype == np.float64 and np.std(asked) > 0.1
    np.testing.assert_allclose(given, asked, rtol=1e-12, atol=1e-12)
    # The other inputs begin without weight and with a gradient.
    kernel = result["params"]["plus_net"]["down_0"]["kernel"]
    assert kernel.shape[2] == 4 and not kernel[:, :, 1:].any()


def test_other_weights_do_not_change(state):
    result = plus_of_minus(state.variables)
    for kind, trees in state.variables.items():
        for net in trees.keys() - {"plus_net"}:
            assert result[kind][net] is trees[net]
    ours, before = result["params"]["plus_net"], state.params["plus_net"]
    np.testing.assert_array_equal(ours["down_0"]["kernel"][:, :, 1], before["down_0"]["kernel"][:, :, 1])
    for name in ("kernel", "bias"):
        np.testing.assert_array_equal(ours["up_0"][name], before["up_0"][name])


def test_only_an_untrained_plus_net_is_initialised(config, state):
    plus, both = (Round(name, first, 2, *MinusPlus.kinds[name]) for name, first in (("plus", 6), ("both", 8)))
    first = method_of(config).begin(state, plus)
    assert not np.array_equal(first.params["plus_net"]["up_1"]["kernel"], state.params["plus_net"]["up_1"]["kernel"])
    assert has_learnt(first.batch_stats["plus_net"])
    changed = first.replace(params=first.params | {"plus_net": jax.tree.map(lambda x: x + 1, first.params["plus_net"])})
    for then in (plus, both):
        again = method_of(config).begin(changed, then)
        jax.tree.map(np.testing.assert_array_equal, again.params, changed.params)


def test_without_its_own_round_the_plus_net_is_initialised_in_the_last_one(config, state):
    result = method_of(config).begin(state, Round("both", 6, 2, *MinusPlus.kinds["both"]))
    assert has_learnt(result.batch_stats["plus_net"])


@pytest.mark.parametrize(
    "change", [{"model.plus_start": "random"}, {}], ids=["by the config", "of an untrained Minus-Net"]
)
def test_the_plus_net_stays_random(config, state, change):
    config.update_from_flattened_dict(change)
    if not change:
        state = jax.tree.map(np.asarray, method_of(config).initial_state())
    result = method_of(config).begin(state, Round("plus", 0, 2, *MinusPlus.kinds["plus"]))
    jax.tree.map(np.testing.assert_array_equal, result.params, state.params)


def test_another_width_is_refused(config):
    method_of(config)
    config.model.plus_features = 8
    with pytest.raises(InputError, match="plus_features=8 does not fit them"):
        method_of(config)
