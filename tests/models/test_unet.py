import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.models.unet import UNet, log_magnitude
from tests.support.fusion import WITH_FUSION
from tests.support.random_variables import random_variables


def parameter_count(tree):
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def shapes_of(model, shape):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))


def test_parameter_count_by_hand():
    # Two input channels; widths 4, 8 and 16; five output maps. Only the last convolution has a bias.
    down = 16 * (2 * 4 + 4 * 8 + 8 * 16)
    up = 9 * (16 * 8 + (8 + 8) * 4 + (4 + 4) * 5) + 5
    norms = 2 * (2 + 8 + 8 + 4)  # The input's, the encoder's middle one, the decoder's two.
    variables = shapes_of(UNet(3, 4, 5, train=False), (1, 8, 8, 2))
    assert parameter_count(variables["params"]) == down + up + norms
    assert parameter_count(variables["batch_stats"]) == norms


def test_channels_stop_growing_at_eight_times_the_first():
    params = shapes_of(UNet(6, 2, 3, train=False), (1, 64, 64, 1))["params"]
    assert [params[f"down_{level}"]["kernel"].shape[-1] for level in range(6)] == [2, 4, 8, 16, 16, 16]


@pytest.mark.parametrize(("depth", "sides"), [(1, (2, 6)), (2, (4, 12)), (3, (8, 24))])
def test_maps_have_the_input_s_sides(depth, sides):
    model = UNet(depth, 2, 3, train=False)
    x = jnp.zeros((2, *sides, 1))
    y, _ = jax.eval_shape(lambda key: model.init_with_output(key, x), jax.random.key(0))
    assert y.shape == (2, *sides, 3)


@pytest.mark.parametrize("sides", [(12, 8), (8, 12)])
def test_sides_that_do_not_divide_are_refused(sides):
    message = f"depth 3 needs sides that divide by 8, got {sides[0]} x {sides[1]}; change frequency_rows"
    with pytest.raises(ValueError, match=message):
        shapes_of(UNet(3, 2, 3, train=False), (1, *sides, 1))


@pytest.mark.parametrize("depth", [1, 3])
def test_weighted_sums_equal_sums_of_the_maps(depth):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        model = UNet(depth, 2, 5, train=False)
        x, weights = jnp.asarray(rng.standard_normal((2, 16, 8, 1))), jnp.asarray(rng.standard_normal((2, 5, 3)))
        variables = random_variables(model, x)

        def of_maps(variables, weights):
            return model.apply(variables, x) @ weights[:, None]

        def directly(variables, weights):
            return model.apply(variables, x, weights)

        target = rng.standard_normal((2, 16, 8, 3))
        results = []
        for sums in (of_maps, directly):

            def product(variables, weights, sums=sums):
                values = sums(variables, weights)
                return jnp.sum(target * values), values

            run = jax.value_and_grad(product, argnums=(0, 1), has_aux=True)
            results.append(jax.jit(run, compiler_options=WITH_FUSION)(variables, weights))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), *results)


def test_training_records_every_layer_s_statistics_and_evaluation_none():
    x = jax.random.normal(jax.random.key(1), (2, 4, 4, 1))
    variables = random_variables(UNet(2, 2, 3, train=False), x)
    _, updated = jax.jit(lambda v, x: UNet(2, 2, 3, train=True).apply(v, x, mutable=["batch_stats"]))(variables, x)
    before, after = variables["batch_stats"], updated["batch_stats"]
    assert set(after) == {"norm_in", "up_norm_1"}
    for name in after:
        assert not np.array_equal(before[name]["mean"], after[name]["mean"])
    _, updated = jax.jit(lambda v, x: UNet(2, 2, 3, train=False).apply(v, x, mutable=["batch_stats"]))(variables, x)
    np.testing.assert_array_equal(updated["batch_stats"]["norm_in"]["mean"], before["norm_in"]["mean"])


def test_log_of_silence_is_finite():
    np.testing.assert_allclose(log_magnitude(jnp.array([0.0, 1.0]), epsilon=1e-6), [np.log(1e-6), 0.0], atol=2e-6)


@pytest.mark.parametrize(("initial_weights", "keeps"), [("he", True), ("released", False)])
def test_initial_weights_keep_the_variance_or_are_those_of_the_released_code(initial_weights, keeps):
    model = UNet(3, 16, 4, train=False, initial_weights=initial_weights)
    params = jax.jit(model.init)(jax.random.key(0, impl="rbg"), jnp.zeros((1, 8, 8, 1)))["params"]
    for layer in ("down_1", "down_2", "up_2", "up_1", "up_0"):
        kernel = params[layer]["kernel"]
        expected = np.sqrt(2 / np.prod(kernel.shape[:-1])) if keeps else 1e-3
        np.testing.assert_allclose(kernel.std(), expected, rtol=0.1)
