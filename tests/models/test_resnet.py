import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.models.resnet import (
    IMAGE_MEAN,
    IMAGE_STD,
    PointwiseStride2,
    ResNet18,
    max_pool_3x3_stride_2,
    normalise_pictures,
)


def plain_max_pool(x):
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))


@pytest.mark.parametrize("sides", [(8, 6), (7, 5), (6, 9), (1, 2)])
def test_max_pool_equals_the_plain_one(sides):
    rng = np.random.default_rng(0)
    # All values are negative, so a border of zeros would be noticed.
    x = jnp.asarray(-1.0 - rng.uniform(size=(2, *sides, 3)), jnp.float32)
    expected = jax.jit(plain_max_pool)(x)
    np.testing.assert_array_equal(jax.jit(max_pool_3x3_stride_2)(x), expected)
    weight = rng.standard_normal(expected.shape).astype(np.float32)
    ours, plain = (
        jax.jit(jax.grad(lambda x, f=f: jnp.sum(weight * f(x))))(x) for f in (max_pool_3x3_stride_2, plain_max_pool)
    )
    # A pixel may be the maximum of four windows, whose gradients are then added in another order.
    np.testing.assert_allclose(ours, plain, atol=1e-6)


@pytest.mark.parametrize("sides", [(6, 4), (5, 7)])
def test_pointwise_equals_a_strided_convolution(sides):
    x = jax.random.normal(jax.random.key(0), (2, *sides, 3))
    y, variables = PointwiseStride2(5).init_with_output(jax.random.key(1), x)
    expected = jax.lax.conv_general_dilated(
        x,
        variables["params"]["kernel"][None, None],
        window_strides=(2, 2),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def shapes_of(model, side):
    return jax.eval_shape(lambda key: model.init_with_output(key, jnp.zeros((1, side, side, 3))), jax.random.key(0))


def count(tree):
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def test_parameter_count():
    _, variables = shapes_of(ResNet18(16), 64)
    # ResNet-18 has 11,689,512 parameters; a 3x3 convolution to 16 channels replaces its classifier, 512 -> 1000.
    assert count(variables["params"]) == 11_689_512 - (512 * 1000 + 1000) + (9 * 512 * 16 + 16)


def test_parameter_count_by_hand():
    # Widths 2, 4, 8 and 16, two blocks each; the first block of stages 2 to 4 doubles the channels.
    convolutions = 49 * 3 * 2 + 9 * 4 * 2 * 2
    convolutions += sum(9 * (w // 2 * w + 3 * w * w) + w // 2 * w for w in (4, 8, 16))
    norms = 2 * (2 + 4 * 2) + sum(2 * 5 * w for w in (4, 8, 16))
    _, variables = shapes_of(ResNet18(3, 2), 32)
    assert count(variables["params"]) == convolutions + norms + 9 * 16 * 3 + 3
    assert count(variables["batch_stats"]) == norms


@pytest.mark.parametrize(("dilated", "places"), [(True, 14), (False, 7)])
def test_places_from_224_pixels(dilated, places):
    maps, _ = shapes_of(ResNet18(3, 2, dilated), 224)
    assert maps.shape == (1, places, places, 3)


def test_dilations():
    def dilations(dilated):
        # With so few channels, every convolution has its plain form.
        jaxpr = jax.make_jaxpr(lambda key: ResNet18(3, 1, dilated).init_with_output(key, jnp.zeros((1, 32, 32, 3)))[0])(
            jax.random.key(0)
        )
        convolutions = [e for e in equations_of(jaxpr.jaxpr) if e.primitive.name == "conv_general_dilated"]
        return [e.params["rhs_dilation"][0] for e in convolutions]

    # Stem, 16 convolutions in the blocks, head. In the last stage, the convolution that lost its stride keeps dilation
    # 1.
    assert dilations(True) == [1] * 13 + [1, 2, 2, 2] + [1]
    assert dilations(False) == [1] * 18


def equations_of(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations_of(inner)


def test_pictures_are_normalised_by_channel():
    picture = np.zeros((1, 2, 2, 3), np.uint8)
    picture[..., 1] = 255
    expected = [(v - m) / s for v, m, s in zip((0, 1, 0), IMAGE_MEAN, IMAGE_STD, strict=True)]
    y = normalise_pictures(jnp.asarray(picture))
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, np.broadcast_to(expected, picture.shape), rtol=1e-5)
