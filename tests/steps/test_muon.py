import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mpnet_jax.steps.muon import muon, orthogonalised


@pytest.mark.parametrize("shape", [(40, 8), (8, 40), (8, 8), (2, 3, 4, 5), (1, 7)])
def test_first_updates_equal_those_of_optax(shape):
    # optax corrects the momentum's bias, so later updates of the first steps differ a little.
    params = {"kernel": jnp.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))}
    gradients = {"kernel": jnp.asarray(np.random.default_rng(1).standard_normal(shape, np.float32))}
    ours = muon(optax.constant_schedule(0.3), weight_decay=0.1, is_matrix=lambda params: {"kernel": True})
    theirs = optax.contrib.muon(
        0.3,
        weight_decay=0.1,
        consistent_rms=0.2,
        muon_weight_dimension_numbers=lambda params: {
            "kernel": optax.contrib.MuonDimensionNumbers(tuple(range(len(shape) - 1)), len(shape) - 1)
        },
    )
    updates = [each.update(gradients, each.init(params), params)[0]["kernel"] for each in (ours, theirs)]
    np.testing.assert_allclose(*updates, rtol=2e-4, atol=2e-5)


def test_momentum_is_nesterovs():
    # The second gradient is zero, so the second update has the direction of the first.
    gradients = jnp.asarray(np.random.default_rng(0).standard_normal((6, 3), np.float32))
    transformation = muon(optax.constant_schedule(1.0), weight_decay=0.0, is_matrix=lambda _: True)
    state = transformation.init(gradients)
    first, state = transformation.update(gradients, state, gradients)
    second, state = transformation.update(jnp.zeros_like(gradients), state, gradients)
    np.testing.assert_allclose(second, first, rtol=1e-3, atol=1e-4)
    # An opposite gradient outweighs what is left of the first one.
    third, _ = transformation.update(-gradients, state, gradients)
    assert float(jnp.vdot(third, first)) < 0


def test_a_zero_matrix_stays_finite_and_zero():
    assert not np.asarray(orthogonalised(jnp.zeros((5, 3)))).any()


def test_a_matrix_of_low_rank_keeps_its_rank():
    rng = np.random.default_rng(0)
    matrix = jnp.asarray(rng.standard_normal((30, 2)) @ rng.standard_normal((2, 9)), jnp.float32)
    values = np.linalg.svd(np.asarray(jax.jit(orthogonalised)(matrix)), compute_uv=False)
    assert values[:2].min() > 0.6 and values[:2].max() < 1.3
    assert values[2:].max() < 1e-3
