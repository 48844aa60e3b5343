"""The networks against stored outputs of the authors' PyTorch ones; see tests/golden/PROVENANCE.md."""

import json
import re
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpnet_jax.models.resnet import ResNet18
from mpnet_jax.models.unet import UNet
from mpnet_jax.spectrogram.frequency import unwarp_matrix, warp_matrix

pytestmark = pytest.mark.golden

# In parts of a tensor's standard deviation. With running statistics every layer is fixed, and float32
# rounding through 20 layers stays near 1e-5. With batch statistics the innermost maps have few values
# (2 x 2 x 2 at depth 7), whose rounding is divided by their own small spread: ten times as much is allowed.
EVALUATION_TOLERANCE = 2e-4
TRAINING_TOLERANCE = 2e-3
# PyTorch's sampler takes float32 positions in [-1, 1]: on 751 rows they are off by up to 6e-8 * 375 = 2e-5 of
# a row, times steps between neighbours of up to ten standard deviations, once there and once back.
WARP_TOLERANCE = 5e-4


class Golden:
    """One seed's file: stored outputs, and the weights and inputs that gave them."""

    def __init__(self, path):
        self.arrays = np.load(path)
        self.seed = int(re.fullmatch(r"mpnet-(\d+)\.npz", path.name)[1])
        self.names = json.loads(path.with_suffix(".names.json").read_text())

    def rng(self, name):
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def normal(self, name, shape):
        return self.rng(name).standard_normal(shape).astype(np.float32)

    def weights(self, net, names_of=None):
        """{state-dict name: float32 array} in PyTorch's layout."""
        shapes = self.names[names_of or net]
        kept = {name: shape for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}
        return {name: self.weight(net, name, shape) for name, shape in kept.items()}

    def weight(self, net, name, shape):
        rng = self.rng(f"{net}.{name}")
        if name.endswith("running_var"):
            value = rng.uniform(0.5, 1.5, shape)
        elif name.endswith("running_mean"):
            value = 0.1 * rng.standard_normal(shape)
        elif len(shape) >= 2:
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
            value *= 0.01 if name == "fc.weight" else 1.0
        elif name.endswith("bias"):
            value = 0.1 * rng.standard_normal(shape)
        else:
            value = rng.uniform(0.5, 1.5, shape)
        return value.astype(np.float32)

    def compare(self, case, y, tolerance):
        """Checks an output in PyTorch's layout against the stored one."""
        stored, shape = self.arrays[case], tuple(self.arrays[f"{case}/shape"])
        y = np.asarray(y)
        assert y.shape == shape
        strides = tuple(slice(None, None, -(-whole // kept)) for whole, kept in zip(shape, stored.shape, strict=True))
        std = float(self.arrays[f"{case}/std"])
        np.testing.assert_allclose(y[strides], stored, rtol=0, atol=tolerance * std)
        # Over the whole tensor, of which the file holds a part.
        assert float(y.astype(np.float64).mean()) == pytest.approx(
            float(self.arrays[f"{case}/mean"]), abs=tolerance * std
        )
        assert float(y.astype(np.float64).std()) == pytest.approx(std, rel=tolerance)


def pytest_generate_tests(metafunc):
    folder = metafunc.config.getoption("--golden-dir")
    paths = sorted(folder.glob("mpnet-*.npz"))
    if not paths:
        raise pytest.UsageError(f"--golden-dir={folder} holds no mpnet-SEED.npz")
    metafunc.parametrize("golden", paths, indirect=True, ids=[path.stem for path in paths], scope="module")


@pytest.fixture(scope="module")
def golden(request):
    return Golden(request.param)


def channels_last(kernel):
    """(out, in, height, width) to (height, width, in, out)."""
    return kernel.transpose(2, 3, 1, 0)


class Variables:
    """Collects a Flax tree from state-dict entries."""

    def __init__(self, weights):
        self.weights, self.params, self.statistics = weights, {}, {}

    def conv(self, place, prefix):
        """`place` is a path of names in the tree."""
        self._at(self.params, place)["kernel"] = channels_last(self.weights[f"{prefix}.weight"])
        if f"{prefix}.bias" in self.weights:
            self._at(self.params, place)["bias"] = self.weights[f"{prefix}.bias"]

    def norm(self, place, prefix):
        entries = {name: self.weights[f"{prefix}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")}
        self._at(self.params, place).update(scale=entries["weight"], bias=entries["bias"])
        self._at(self.statistics, place).update(mean=entries["running_mean"], var=entries["running_var"])

    def tree(self):
        return {"params": self.params, "batch_stats": self.statistics}

    @staticmethod
    def _at(tree, place):
        for name in place:
            tree = tree.setdefault(name, {})
        return tree


def unet_variables(weights, depth):
    """The blocks lie inside one another; the numbers count a block's layers, with and without weights."""
    variables = Variables(weights)
    variables.norm(["norm_in"], "bn0")
    variables.conv(["down_0"], "unet_block.model.0")
    variables.conv(["up_0"], "unet_block.model.4")
    block = "unet_block.model.1.model"
    for level in range(1, depth):
        variables.conv([f"down_{level}"], f"{block}.1")
        innermost = level == depth - 1
        if not innermost:
            variables.norm([f"down_norm_{level}"], f"{block}.2")
        variables.conv([f"up_{level}"], f"{block}.{4 if innermost else 6}")
        variables.norm([f"up_norm_{level}"], f"{block}.{5 if innermost else 7}")
        block += ".3.model"
    return variables.tree()


def resnet_variables(weights):
    variables = Variables(weights)
    variables.conv(["conv_in"], "features.0")
    variables.norm(["norm_in"], "features.1")
    for stage in range(1, 5):
        for block in range(1, 3):
            place, prefix = f"stage{stage}_block{block}", f"features.{stage + 3}.{block - 1}"
            for number in (1, 2):
                variables.conv([place, f"conv{number}"], f"{prefix}.conv{number}")
                variables.norm([place, f"norm{number}"], f"{prefix}.bn{number}")
            if f"{prefix}.downsample.0.weight" in weights:
                variables.conv([place, "shortcut_conv"], f"{prefix}.downsample.0")
                variables.norm([place, "shortcut_norm"], f"{prefix}.downsample.1")
                shortcut = variables.params[place]["shortcut_conv"]
                shortcut["kernel"] = shortcut["kernel"][0, 0]  # a 1x1 convolution is a matrix here
    variables.conv(["conv_out"], "fc")
    return variables.tree()


# U-Net 5 stands for its kind in every run; the deeper ones take seconds more each.
DEPTHS = [5, pytest.param(6, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)]


@pytest.mark.parametrize("depth", DEPTHS)
def test_unet_with_running_statistics(golden, depth):
    variables = unet_variables(golden.weights(f"unet{depth}"), depth)
    x = golden.normal(f"unet{depth}.x", (2, 1, 256, 256)).transpose(0, 2, 3, 1)
    y = jax.jit(UNet(depth, 64, 16, train=False).apply)(variables, jnp.asarray(x))
    golden.compare(f"unet{depth}.eval", np.asarray(y).transpose(0, 3, 1, 2), EVALUATION_TOLERANCE)


@pytest.mark.parametrize("depth", DEPTHS)
def test_unet_with_batch_statistics(golden, depth):
    variables = unet_variables(golden.weights(f"unet{depth}"), depth)
    x = golden.normal(f"unet{depth}.x", (2, 1, 256, 256)).transpose(0, 2, 3, 1)
    model = UNet(depth, 64, 16, train=True)
    y, updated = jax.jit(lambda v, x: model.apply(v, x, mutable=["batch_stats"]))(variables, jnp.asarray(x))
    golden.compare(f"unet{depth}.train", np.asarray(y).transpose(0, 3, 1, 2), TRAINING_TOLERANCE)
    for ours, theirs in (("mean", "running_mean"), ("var", "running_var")):
        # One pass of float32 over 131,072 values.
        np.testing.assert_allclose(
            updated["batch_stats"]["norm_in"][ours],
            golden.arrays[f"unet{depth}.train.bn0.{theirs}"],
            atol=1e-6,
        )


@pytest.mark.slow
def test_unet_of_two_spectrograms(golden):
    variables = unet_variables(golden.weights("pnet"), 7)
    x = golden.normal("pnet.x", (1, 2, 256, 256)).transpose(0, 2, 3, 1)
    y = jax.jit(UNet(7, 64, 1, train=False).apply)(variables, jnp.asarray(x))
    golden.compare("pnet.eval", np.asarray(y).transpose(0, 3, 1, 2), EVALUATION_TOLERANCE)


@pytest.mark.parametrize(
    ("net", "dilated"), [("resnet18dilated", True), pytest.param("resnet18fc", False, marks=pytest.mark.slow)]
)
def test_resnet(golden, net, dilated):
    # Both networks have the names of the dilated one.
    variables = resnet_variables(golden.weights(net, names_of="resnet18dilated"))
    frames = golden.normal("frames.x", (1, 3, 3, 224, 224)).transpose(0, 2, 3, 4, 1)[0]
    maps = np.asarray(jax.jit(ResNet18(16, 64, dilated).apply)(variables, jnp.asarray(frames)))
    golden.compare(f"{net}.pixels", maps[:1].transpose(0, 3, 1, 2), EVALUATION_TOLERANCE)
    if dilated:
        golden.compare(f"{net}.pooled", maps.max((0, 1, 2))[np.newaxis], EVALUATION_TOLERANCE)


def test_frequency_warp_and_back(golden):
    magnitude = golden.rng("warp.x").gamma(0.5, 1.0, (1, 1, 751, 256)).astype(np.float32)
    warped = warp_matrix(256, 751) @ magnitude
    golden.compare("warp.align_corners_True", warped, WARP_TOLERANCE)
    golden.compare("unwarp.align_corners_True", unwarp_matrix(751, 256) @ warped, WARP_TOLERANCE)
