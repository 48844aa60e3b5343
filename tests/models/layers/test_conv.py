import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.models.layers import conv
from mpnet_jax.models.layers.conv import FORMS_3X3, HALVING_FORMS, conv_3x3, halving_conv


def assert_equal(form, plain, x_shape, kernel_shape):
    """Compares the values and both gradients of two forms in float64."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x, kernel = jnp.asarray(rng.standard_normal(x_shape)), jnp.asarray(rng.standard_normal(kernel_shape))
        dy = jnp.asarray(rng.standard_normal(jax.eval_shape(plain, x, kernel).shape))

        def value_and_gradients(function):
            y, transpose = jax.vjp(function, x, kernel)
            return y, *transpose(dy)

        results = jax.jit(lambda: [value_and_gradients(function) for function in (form, plain)])()
        for one, other in zip(*results, strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, atol=1e-11)


@pytest.mark.parametrize(("height", "width", "dilation"), [(8, 4, 1), (7, 5, 1), (14, 14, 2), (13, 6, 2), (1, 2, 3)])
def test_forms_of_the_3x3_are_equal(height, width, dilation):
    def of(name):
        return lambda x, kernel: FORMS_3X3[name](x, kernel, dilation)

    assert_equal(of("winograd"), of("plain"), (2, height, width, 3), (3, 3, 3, 4))


@pytest.mark.parametrize(
    ("form", "height", "width"),
    [("winograd", 8, 16), ("winograd_gradient", 8, 16), ("patches", 2, 2), ("patches", 6, 4), ("patches", 8, 8)],
)
def test_forms_of_the_halving_convolution_are_equal(form, height, width):
    assert_equal(HALVING_FORMS[form], HALVING_FORMS["plain"], (2, height, width, 3), (4, 4, 3, 5))


@pytest.fixture
def taken(monkeypatch):
    """Records the names of the forms that are used."""
    names = []

    def recorded(name, form):
        def run(*arguments):
            names.append(name)
            return form(*arguments)

        return run

    for forms in ("FORMS_3X3", "HALVING_FORMS"):
        wrapped = {name: recorded(name, form) for name, form in getattr(conv, forms).items()}
        monkeypatch.setattr(conv, forms, wrapped)
    return names


@pytest.mark.parametrize(
    ("backend", "channels", "out", "expected"),
    [("cpu", 64, 128, "winograd"), ("cpu", 63, 64, "plain"), ("cpu", 64, 63, "plain"), ("gpu", 64, 64, "plain")],
)
def test_form_of_the_3x3_follows_backend_and_channels(monkeypatch, taken, backend, channels, out, expected):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    shapes = (jax.ShapeDtypeStruct(shape, np.float32) for shape in ((1, 4, 4, channels), (3, 3, channels, out)))
    assert jax.eval_shape(lambda x, kernel: conv_3x3(x, kernel, dilation=2), *shapes).shape == (1, 4, 4, out)
    assert taken == [expected]


@pytest.mark.parametrize(
    ("backend", "shape", "expected"),
    [
        ("cpu", (4, 128, 128, 64), "winograd"),
        ("cpu", (4, 256, 256, 1), "patches"),
        ("cpu", (4, 256, 256, 15), "plain"),
        ("cpu", (16, 64, 64, 16), "winograd_gradient"),
        ("cpu", (4, 16, 16, 512), "patches"),
        ("cpu", (16, 16, 16, 64), "winograd"),
        ("cpu", (64, 36, 32, 64), "patches"),
        ("tpu", (4, 128, 128, 64), "plain"),
    ],
)
def test_form_of_the_halving_convolution_follows_backend_and_size(monkeypatch, taken, backend, shape, expected):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    shapes = (jax.ShapeDtypeStruct(s, np.float32) for s in (shape, (4, 4, shape[-1], 64)))
    y = jax.eval_shape(lambda x, kernel: halving_conv(x, kernel), *shapes)
    assert y.shape == (shape[0], shape[1] // 2, shape[2] // 2, 64)
    assert taken == [expected]
