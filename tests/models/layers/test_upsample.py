import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.models.layers.upsample import UpsampleConv, upsample_conv
from tests.support.random_variables import random_variables

SIZES = [(1, 1), (1, 4), (2, 3), (5, 7), (8, 6)]


def doubling_matrix(size):
    """Returns the matrix (2 * size, size) of bilinear upsampling with aligned corners, from its hat functions."""
    places = np.linspace(0, size - 1, 2 * size)
    return np.maximum(0.0, 1.0 - np.abs(places[:, None] - np.arange(size)))


@jax.jit
def plain(parts, kernel):
    """Concatenates, upsamples, pads with zeros and convolves, step by step."""
    x = jnp.concatenate(parts, axis=-1)
    height, width = x.shape[1:3]
    doubled = jnp.einsum("ih,jw,bhwc->bijc", doubling_matrix(height), doubling_matrix(width), x)
    padded = jnp.pad(doubled, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(
        padded[:, row : row + 2 * height, column : column + 2 * width] @ kernel[row, column]
        for row in range(3)
        for column in range(3)
    )


def random_case(height, width, channels, seed=0):
    rng = np.random.default_rng(seed)
    parts = [jnp.asarray(rng.standard_normal((2, height, width, c))) for c in channels]
    return parts, jnp.asarray(rng.standard_normal((3, 3, sum(channels), 5)))


# With few channels, the map is padded before the products; with many, after them.
@pytest.mark.parametrize(("height", "width", "channels"), [(*size, 3) for size in SIZES] + [(5, 7, 60)])
def test_equals_the_plain_form_border_included(height, width, channels):
    with jax.enable_x64(True):
        parts, kernel = random_case(height, width, (channels,))
        y = jax.jit(upsample_conv)(parts, kernel)
        assert y.shape == (2, 2 * height, 2 * width, 5)
        np.testing.assert_allclose(y, plain(parts, kernel), atol=1e-12)


def test_parts_are_the_channels_in_their_order():
    with jax.enable_x64(True):
        parts, kernel = random_case(4, 3, (2, 1, 4))
        forward, expected = jax.jit(upsample_conv), plain(parts, kernel)
        np.testing.assert_allclose(forward(parts, kernel), expected, atol=1e-12)
        other_way = forward(parts[::-1], kernel)
        assert float(jnp.max(jnp.abs(other_way - expected))) > 0.1


# The backward pass takes one sample at a time where the maps are larger than the cache.
@pytest.mark.parametrize(("height", "width", "cached_bytes"), [(1, 4, 2**21), (5, 6, 2**21), (5, 6, 0)])
def test_gradients_equal_those_of_the_plain_form(monkeypatch, height, width, cached_bytes):
    monkeypatch.setattr("mpnet_jax.models.layers.upsample._CACHED_BYTES", cached_bytes)
    with jax.enable_x64(True):
        parts, kernel = random_case(height, width, (2, 3))
        weight = np.random.default_rng(1).standard_normal((2, 2 * height, 2 * width, 5))

        def gradients(function):
            return jax.jit(jax.grad(lambda p, k: jnp.sum(weight * function(p, k)), argnums=(0, 1)))(parts, kernel)

        assert ("while" in jax.jit(lambda: gradients(upsample_conv)).lower().as_text()) == (cached_bytes == 0)
        for ours, expected in zip(
            jax.tree.leaves(gradients(upsample_conv)), jax.tree.leaves(gradients(plain)), strict=True
        ):
            np.testing.assert_allclose(ours, expected, atol=1e-11)


def test_a_constant_stays_constant_inside():
    kernel = jnp.ones((3, 3, 1, 1)) / 9
    y = jax.jit(upsample_conv)([jnp.ones((1, 4, 4, 1))], kernel)[0, :, :, 0]
    np.testing.assert_allclose(y[1:-1, 1:-1], 1.0, rtol=1e-6)
    np.testing.assert_allclose(y[0, 1:-1], 6 / 9, rtol=1e-6)  # A row of zeros is outside.
    np.testing.assert_allclose(y[0, 0], 4 / 9, rtol=1e-6)


def test_module_parameters_and_offset():
    parts = [jnp.ones((1, 2, 2, 3)), jnp.ones((1, 2, 2, 1))]
    model = UpsampleConv(5, use_bias=True)
    params = random_variables(model, parts)["params"]
    assert jax.tree.map(jnp.shape, params) == {"kernel": (3, 3, 4, 5), "bias": (5,)}
    y = jax.jit(lambda params: model.apply({"params": params}, parts) - upsample_conv(parts, params["kernel"]))(params)
    np.testing.assert_allclose(y, np.broadcast_to(params["bias"], y.shape), atol=1e-5)
    assert "bias" not in random_variables(UpsampleConv(5), parts)["params"]
