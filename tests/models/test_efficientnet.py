"""Tests EfficientNet-Lite0, also against stored outputs of a PyTorch implementation; see tests/golden/PROVENANCE.md."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.models.efficientnet import STAGES, EfficientNetLite0, ImageNetHead, normalise_pictures
from mpnet_jax.pretrained.imagenet import efficientnet_lite0
from tests.support.golden_picture import ESPRESSO, SIDES_PX, picture_of, stored_values
from tests.support.repository import ROOT

# In standard deviations of a map. Float32 rounding through 50 layers stays near 1e-5.
TOLERANCE = 1e-4
BLOCKS = [f"stage{number}_block{block}" for number, s in enumerate(STAGES, 1) for block in range(1, s.blocks + 1)]
LAYERS = ["stem", *BLOCKS, "top"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return efficientnet_lite0()


def outputs_of(variables, pictures, **fields):
    """Returns the output of every layer by its name."""

    @jax.jit
    def run(variables, pictures):
        model = EfficientNetLite0(**fields)
        _, state = model.apply(variables, pictures, capture_intermediates=True, mutable=["intermediates"])
        return {name: state["intermediates"][name]["__call__"][0] for name in LAYERS}

    return run(variables, pictures)


@pytest.fixture(scope="module", params=SIDES_PX)
def golden_outputs(request, pretrained):
    picture = normalise_pictures(jnp.asarray(picture_of(request.param)[np.newaxis]))
    return request.param, outputs_of(pretrained.variables, picture, dilated=False)


@pytest.mark.golden
def test_every_block_equals_the_stored_output(golden_outputs):
    side_px, outputs = golden_outputs
    with np.load(ROOT / "tests" / "golden" / "efficientnet-lite0.npz") as stored:
        for name in LAYERS:
            key, values = f"{side_px}/{name}", np.asarray(outputs[name][0])
            assert values.shape == tuple(stored[f"{key}/shape"]), name
            std = float(stored[f"{key}/std"])
            np.testing.assert_allclose(stored_values(values), stored[key], rtol=0, atol=TOLERANCE * std, err_msg=name)
            assert float(values.mean(dtype=np.float64)) == pytest.approx(float(stored[f"{key}/mean"]), abs=1e-4 * std)
            assert float(values.std(dtype=np.float64)) == pytest.approx(std, rel=TOLERANCE)


@pytest.mark.golden
def test_the_picture_is_classified(golden_outputs, pretrained):
    side_px, outputs = golden_outputs
    pooled = outputs["top"].mean((1, 2))
    logits = ImageNetHead().apply({"params": {"classifier": pretrained.classifier}}, pooled)[0]
    assert int(jnp.argmax(logits)) == ESPRESSO
    with np.load(ROOT / "tests" / "golden" / "efficientnet-lite0.npz") as stored:
        expected = stored[f"{side_px}/logits"]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=TOLERANCE * expected.std())


# 16 pixels apart, 6 x 5 places or 7 x 5.
@pytest.mark.parametrize("sides", [(97, 65), pytest.param((96, 80), marks=pytest.mark.slow)])
def test_dilated_places_include_the_undilated_ones(pretrained, sides):
    pictures = jax.random.normal(jax.random.key(0), (2, *sides, 3))
    dense = outputs_of(pretrained.variables, pictures, dilated=True)
    sparse = outputs_of(pretrained.variables, pictures, dilated=False)
    # The centres of strided windows are the odd places of an even size, and the even places of an odd one.
    down, across = (1 - -(-side // 16) % 2 for side in sides)
    for name in ("stage6_block1", "stage6_block4", "stage7_block1", "top"):
        chosen, expected = dense[name][:, down::2, across::2], sparse[name]
        assert chosen.shape == expected.shape
        np.testing.assert_allclose(chosen, expected, rtol=0, atol=1e-4 * float(expected.std()))


def shapes_of(model, *shape):
    return jax.eval_shape(lambda key: model.init_with_output(key, jnp.zeros(shape)), jax.random.key(0))


@pytest.mark.parametrize(
    ("sides", "dilated", "places"),
    [
        ((224, 224), True, (14, 14)),
        ((224, 224), False, (7, 7)),
        ((151, 97), True, (10, 7)),
        ((151, 97), False, (5, 4)),
        ((1, 33), True, (1, 3)),
    ],
)
def test_places(sides, dilated, places):
    features, _ = shapes_of(EfficientNetLite0(dilated), 2, *sides, 3)
    assert features.shape == (2, *places, 1280)


def test_parameter_count():
    _, variables = shapes_of(EfficientNetLite0(), 1, 64, 64, 3)
    _, head = jax.eval_shape(lambda key: ImageNetHead().init_with_output(key, jnp.zeros((1, 1280))), jax.random.key(0))
    counts = [sum(leaf.size for leaf in jax.tree.leaves(tree["params"])) for tree in (variables, head)]
    # EfficientNet-Lite0 has 4,652,008 parameters with its classifier.
    assert counts == [4_652_008 - 1_281_000, 1_281_000]


@pytest.mark.slow
def test_pictures_of_a_batch_are_independent(pretrained):
    pictures = jax.random.normal(jax.random.key(0), (3, 45, 61, 3))
    together = jax.jit(EfficientNetLite0().apply)(pretrained.variables, pictures)
    alone = jax.jit(EfficientNetLite0().apply)(pretrained.variables, pictures[1:2])
    np.testing.assert_allclose(together[1:2], alone, rtol=0, atol=1e-4)


@pytest.mark.slow  # compilation of the gradient
def test_training_updates_the_statistics_and_has_gradients(pretrained):
    pictures = jax.random.normal(jax.random.key(0), (2, 33, 33, 3))
    model, variables = EfficientNetLite0(train=True), pretrained.variables

    @jax.jit
    def step(variables):
        def loss(params):
            y, state = model.apply(variables | {"params": params}, pictures, mutable=["batch_stats"])
            return jnp.mean(jnp.square(y)), state

        return jax.grad(loss, has_aux=True)(variables["params"])

    gradients, state = step(variables)
    assert jax.tree.structure(gradients) == jax.tree.structure(variables["params"])
    assert all(bool(jnp.all(jnp.isfinite(leaf))) and bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(gradients))
    before, after = variables["batch_stats"]["stem"]["norm"], state["batch_stats"]["stem"]["norm"]
    assert not np.allclose(before["mean"], after["mean"])


@pytest.mark.slow
def test_half_precision_returns_float32(pretrained):
    pictures = normalise_pictures(jnp.asarray(picture_of(64)[np.newaxis]))
    exact = jax.jit(EfficientNetLite0().apply)(pretrained.variables, pictures)
    half = jax.jit(EfficientNetLite0(compute_dtype=jnp.bfloat16).apply)(pretrained.variables, pictures)
    assert half.dtype == jnp.float32
    # The 8 bits of bfloat16 through 50 layers.
    assert np.corrcoef(np.ravel(half), np.ravel(exact))[0, 1] > 0.95


def test_pictures_are_normalised():
    y = normalise_pictures(jnp.asarray([[[0, 127, 255]]], jnp.uint8))
    assert y.dtype == jnp.float32
    np.testing.assert_array_equal(y, [[[-127 / 128, 0, 1]]])
