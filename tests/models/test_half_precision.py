"""Tests that networks computing in bfloat16 stay close to float32 and keep parameters and results in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.models.resnet import ResNet18
from mpnet_jax.models.unet import UNet
from tests.support.fusion import WITH_FUSION
from tests.support.random_variables import random_variables

# In standard deviations of the output. bfloat16 has 8 bits, so each of about 20 layers rounds by up to 2^-9 = 0.2 % of
# its values; the squares of these errors add up.
TOLERANCE = 0.05

NETWORKS = {
    "unet": (lambda **how: UNet(3, 8, 4, **how), (4, 32, 32, 1)),
    "resnet": (lambda **how: ResNet18(4, 8, True, **how), (4, 64, 64, 3)),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    make, shape = NETWORKS[request.param]
    x = jnp.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))
    return make, x, jax.tree.map(jnp.asarray, random_variables(make(train=False), x))


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


def test_outputs_agree_with_running_statistics(network):
    make, x, variables = network
    expected = make(train=False).apply(variables, x)
    y = jax.jit(make(train=False, compute_dtype=jnp.bfloat16).apply)(variables, x)
    assert y.dtype == jnp.float32
    assert 0 < rms(y - expected) < TOLERANCE * float(np.std(expected))  # A difference of 0 would mean float32.


def test_gradients_and_statistics_agree(network):
    make, x, variables = network

    def loss(params, dtype):
        model = make(train=True, compute_dtype=dtype)
        y, updated = model.apply(variables | {"params": params}, x, mutable=["batch_stats"])
        return jnp.mean(jnp.square(y)), updated["batch_stats"]

    run = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1, compiler_options=WITH_FUSION)
    (expected, statistics), gradient = run(variables["params"], None)
    (value, half_statistics), half_gradient = run(variables["params"], jnp.bfloat16)
    assert float(value) == pytest.approx(float(expected), rel=TOLERANCE)
    for tree in (half_statistics, half_gradient):
        assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {jnp.dtype("float32")}
    # One step moves the running statistics by a tenth of the batch statistics.
    for a, b in zip(jax.tree.leaves(half_statistics), jax.tree.leaves(statistics), strict=True):
        np.testing.assert_allclose(a, b, atol=0.1 * TOLERANCE, rtol=TOLERANCE)
    a, b = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (half_gradient, gradient))
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert cosine > 0.97
