import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.models.layers import depthwise
from mpnet_jax.models.layers.depthwise import FORMS, DepthwiseConv, Window, depthwise_conv, same_window


@pytest.mark.parametrize("sides", [(8, 6), (7, 5), (9, 4), (1, 2)])
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (5, 2, 1), (5, 1, 2), (3, 1, 2)])
def test_forms_are_equal(sides, kernel_size, stride, dilation):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x = jnp.asarray(rng.standard_normal((2, *sides, 3)))
        kernel = jnp.asarray(rng.standard_normal((kernel_size, kernel_size, 1, 3)))

        def values_and_gradients(form):
            y, transpose = jax.vjp(lambda x, kernel: form(x, kernel, stride, dilation), x, kernel)
            dy = jnp.arange(y.size, dtype=y.dtype).reshape(y.shape) / y.size
            return y, *transpose(dy)

        results = jax.jit(lambda: [values_and_gradients(FORMS[name]) for name in ("shifts", "plain")])()
        assert results[0][0].shape == (2, -(-sides[0] // stride), -(-sides[1] // stride), 3)
        for one, other in zip(*results, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-11)


def test_padding_by_hand():
    # Of an even size with stride 2, a kernel of 3 needs one zero, which is added at the end.
    assert same_window(8, 3, stride=2) == Window(4, 0, 1)
    assert same_window(7, 3, stride=2) == Window(4, 1, 1)
    assert same_window(8, 5, stride=2) == Window(4, 1, 2)
    assert same_window(8, 5, dilation=2) == Window(8, 4, 4)
    assert same_window(1, 1, stride=2) == Window(1, 0, 0)


def test_values_by_hand():
    x = jnp.arange(3.0).reshape(1, 1, 3, 1) + jnp.array([0.0, 10.0])
    kernel = jnp.zeros((3, 3, 1, 2)).at[1].set(jnp.array([[1, 0], [0, 0], [2, 1]])[:, np.newaxis])
    # In the first channel, the left neighbour plus twice the right one; in the second one, the right neighbour.
    np.testing.assert_array_equal(depthwise_conv(x, kernel)[0, 0], [[2, 11], [4, 12], [1, 0]])
    np.testing.assert_array_equal(depthwise_conv(x, kernel, dilation=2)[0, 0], [[4, 12], [0, 0], [0, 0]])


@pytest.mark.parametrize(("backend", "form"), [("cpu", "shifts"), ("gpu", "plain"), ("tpu", "plain")])
def test_form_follows_the_backend(monkeypatch, backend, form):
    taken = []

    def recorded(name):
        def run(*arguments):
            taken.append(name)
            return FORMS[name](*arguments)

        return run

    monkeypatch.setattr(depthwise, "FORMS", {name: recorded(name) for name in FORMS})
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    x = jax.ShapeDtypeStruct((1, 8, 8, 4), np.float32)
    # A new function each time, whose trace JAX has not cached.
    jax.eval_shape(lambda x, kernel: depthwise_conv(x, kernel), x, jax.ShapeDtypeStruct((3, 3, 1, 4), np.float32))
    assert taken == [form]


def test_half_precision_is_summed_in_float32():
    rng = np.random.default_rng(0)
    x, kernel = (jnp.asarray(rng.standard_normal(shape), jnp.bfloat16) for shape in ((1, 9, 9, 8), (5, 5, 1, 8)))
    y = depthwise_conv(x, kernel)
    assert y.dtype == jnp.bfloat16
    exact = depthwise_conv(x.astype(jnp.float32), kernel.astype(jnp.float32))
    # One rounding to the 8 bits of bfloat16.
    np.testing.assert_allclose(y.astype(jnp.float32), exact, rtol=2**-8)


def test_module():
    y, variables = DepthwiseConv(5, 2).init_with_output(jax.random.key(0), jnp.ones((2, 7, 6, 400)))
    assert y.shape == (2, 4, 3, 400)
    kernel = variables["params"]["kernel"]
    assert kernel.shape == (5, 5, 1, 400)
    # He's initialisation: each output is a sum of 25 products.
    assert float(kernel.std()) == pytest.approx(np.sqrt(2 / 25), rel=0.05)
