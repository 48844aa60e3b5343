import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.models.layers.winograd import TILE, transforms, winograd_conv


@pytest.mark.parametrize("taps", [2, 3])
def test_transforms_convolve_one_tile_exactly(taps):
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal(TILE + taps - 1), rng.standard_normal(taps)
    matrices = transforms(taps)
    y = matrices.to_output @ ((matrices.from_input @ x) * (matrices.from_kernel @ kernel))
    np.testing.assert_allclose(y, np.correlate(x, kernel, mode="valid"), atol=1e-13)


def test_transforms_of_three_taps_equal_those_of_the_paper():
    # Lavin and Gray, Sec. 4.2, up to a sign that they move from one factor of the third product to the other.
    matrices = transforms(3)
    assert matrices.from_input[0].tolist() == [4, 0, -5, 0, 1, 0]
    assert matrices.from_input[-1].tolist() == [0, 4, 0, -5, 0, 1]
    np.testing.assert_allclose(matrices.from_kernel[:2], [[1 / 4, 0, 0], [-1 / 6] * 3])
    assert matrices.to_output[-1].tolist() == [0, 1, -1, 8, -8, 1]


def plain(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize(("taps", "down", "across"), [(2, 1, 2), (3, 3, 1), (3, 2, 2)])
def test_equals_the_plain_form_with_its_gradients(taps, down, across):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x = jnp.asarray(rng.standard_normal((2, down * TILE + taps - 1, across * TILE + taps - 1, 3)))
        kernel = jnp.asarray(rng.standard_normal((taps, taps, 3, 5)))
        dy = jnp.asarray(rng.standard_normal((2, down * TILE, across * TILE, 5)))

        def value_and_gradients(conv):
            y, transpose = jax.vjp(conv, x, kernel)
            return y, *transpose(dy)

        ours = jax.jit(lambda: value_and_gradients(winograd_conv))()
        for one, other in zip(ours, value_and_gradients(plain), strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, atol=1e-11)


def test_rounding_in_float32_stays_small():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, 18, 18, 64), np.float32))
    kernel = jnp.asarray(rng.standard_normal((3, 3, 64, 64), np.float32) / 24)
    y, expected = jax.jit(winograd_conv)(x, kernel), plain(x, kernel)
    # At the worst place, the error is about 1e-5 of the standard deviation.
    assert float(jnp.max(jnp.abs(y - expected)) / jnp.std(expected)) < 5e-5
