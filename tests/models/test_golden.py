"""Compares networks and forward passes with stored outputs of the authors' code; see PROVENANCE.md."""

import json
import re
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipeline.spec import AudioSpec
from mpnet_jax.models.pixelplayer import Synthesizer
from mpnet_jax.models.resnet import ResNet18
from mpnet_jax.models.unet import UNet
from mpnet_jax.pretrained import torch_weights
from mpnet_jax.recursion.candidates import Candidates
from mpnet_jax.recursion.minus_plus import Loop, by_candidate, minus_plus
from mpnet_jax.recursion.networks import WrittenEnergy, of_mixture
from mpnet_jax.recursion.rules import Rules
from mpnet_jax.recursion.separation import Networks
from mpnet_jax.spectrogram.frequency import frequency_axis
from mpnet_jax.steps.losses import Objective, separation_loss
from mpnet_jax.steps.mask_losses import binary_target, magnitude_weight

pytestmark = pytest.mark.golden

# Tolerances in standard deviations of a tensor. With running statistics, float32 rounding through 20 layers stays near
# 1e-5. With batch statistics, the innermost maps have few values (2 x 2 x 2 at depth 7), and dividing by their small
# deviation enlarges their rounding: the tolerance is ten times as large.
EVALUATION_TOLERANCE = 2e-4
TRAINING_TOLERANCE = 2e-3
# The stored norms of gradients are float32 as well, and a few of their sums nearly cancel, above all that of the input
# normalisation's bias over 131,072 places. Computed in float64, mix-2 differs from the stored norms by 3.0e-3 there and
# by up to 1.4e-3 elsewhere; in float32 by 4.2e-3 and 1.6e-3. So two of the 101 norms may differ by up to this.
CANCELLING_TOLERANCE = 1e-2
# The released code's spectrograms have 256 columns.
AUDIO = AudioSpec(rate_hz=16_000, clip_samples=95_800, fft_samples=1500, hop_samples=375)
PIXELPLAYER_AUDIO = AudioSpec(rate_hz=11_025, clip_samples=65_535, fft_samples=1022, hop_samples=256)


class Golden:
    """A file of stored outputs, with the weights and inputs that they were computed from."""

    def __init__(self, path):
        self.arrays = np.load(path)
        self.seed = int(re.fullmatch(r"[a-z]+-(\d+)\.npz", path.name)[1])
        self.names = json.loads(path.with_suffix(".names.json").read_text())

    def rng(self, name):
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def normal(self, name, shape):
        return self.rng(name).standard_normal(shape).astype(np.float32)

    def gamma(self, name, shape):
        return self.rng(name).gamma(0.5, 1.0, shape).astype(np.float32)

    def weights(self, net, names_of=None):
        """Returns {state-dict name: float32 array} in PyTorch's layout."""
        return {name: self.weight(net, name, shape) for name, shape in self.names[names_of or net].items()}

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
        return np.asarray(value, np.float32)

    def variables(self, model, *inputs, net, table, names_of=None):
        """Returns a model's Flax variables, converted from the weights of a network."""
        template = jax.eval_shape(model.init, jax.random.key(0), *inputs)
        template = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), template)
        return torch_weights.to_flax(self.weights(net, names_of), table, template)

    def unet(self, net, depth, *, inputs=1, outputs=16, train=False, names_of=None):
        model = UNet(depth, 64, outputs, train=train)
        side = jnp.zeros((1, 2**depth, 2**depth, inputs))
        table = torch_weights.unet_names(depth)
        return model, self.variables(
            UNet(depth, 64, outputs, train=False), side, net=net, table=table, names_of=names_of
        )

    def resnet(self, net, *, outputs=16, dilated=True, train=False, names_of=None):
        picture = jnp.zeros((1, 32, 32, 3))
        table = torch_weights.resnet_names()
        variables = self.variables(ResNet18(outputs, 64, dilated), picture, net=net, table=table, names_of=names_of)
        return ResNet18(outputs, 64, dilated, train=train), variables

    def compare(self, case, y, tolerance):
        """Compares an output in PyTorch's layout with the stored one."""
        stored, shape = self.arrays[case], tuple(self.arrays[f"{case}/shape"])
        y = np.asarray(y)
        assert y.shape == shape
        strides = tuple(slice(None, None, -(-whole // kept)) for whole, kept in zip(shape, stored.shape, strict=True))
        std = float(self.arrays[f"{case}/std"]) if y.size > 1 else abs(float(stored[0]))
        np.testing.assert_allclose(y[strides], stored, rtol=0, atol=tolerance * std)
        # Mean and deviation are those of the complete tensor; the file holds a part of it.
        mean = float(self.arrays[f"{case}/mean"])
        assert float(y.astype(np.float64).mean()) == pytest.approx(mean, abs=tolerance * std)
        if y.size > 1:
            assert float(y.astype(np.float64).std()) == pytest.approx(std, rel=tolerance)


def pytest_generate_tests(metafunc):
    folder = metafunc.config.getoption("--golden-dir")
    for fixture, kind in (("golden", "mpnet"), ("pixelplayer", "pixelplayer")):
        if fixture in metafunc.fixturenames:
            paths = sorted(folder.glob(f"{kind}-*.npz"))
            if not paths:
                raise pytest.UsageError(f"--golden-dir={folder} holds no {kind}-SEED.npz")
            metafunc.parametrize(fixture, paths, indirect=True, ids=[path.stem for path in paths], scope="module")


@pytest.fixture(scope="module")
def golden(request):
    return Golden(request.param)


@pytest.fixture(scope="module")
def pixelplayer(request):
    return Golden(request.param)


# Depth 5 runs in the fast tests; the deeper networks take seconds more each.
DEPTHS = [5, pytest.param(6, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)]


@pytest.mark.parametrize("depth", DEPTHS)
def test_unet_with_running_statistics(golden, depth):
    model, variables = golden.unet(f"unet{depth}", depth)
    x = golden.normal(f"unet{depth}.x", (2, 1, 256, 256)).transpose(0, 2, 3, 1)
    y = jax.jit(model.apply)(variables, jnp.asarray(x))
    golden.compare(f"unet{depth}.eval", np.asarray(y).transpose(0, 3, 1, 2), EVALUATION_TOLERANCE)


@pytest.mark.parametrize("depth", DEPTHS)
def test_unet_with_batch_statistics(golden, depth):
    model, variables = golden.unet(f"unet{depth}", depth, train=True)
    x = golden.normal(f"unet{depth}.x", (2, 1, 256, 256)).transpose(0, 2, 3, 1)
    y, updated = jax.jit(lambda v, x: model.apply(v, x, mutable=["batch_stats"]))(variables, jnp.asarray(x))
    golden.compare(f"unet{depth}.train", np.asarray(y).transpose(0, 3, 1, 2), TRAINING_TOLERANCE)
    for ours, theirs in (("mean", "running_mean"), ("var", "running_var")):
        # Float32 sums over 131,072 values.
        np.testing.assert_allclose(
            updated["batch_stats"]["norm_in"][ours],
            golden.arrays[f"unet{depth}.train.bn0.{theirs}"],
            atol=1e-6,
        )


@pytest.mark.slow
def test_unet_of_two_spectrograms(golden):
    model, variables = golden.unet("pnet", 7, inputs=2, outputs=1)
    x = golden.normal("pnet.x", (1, 2, 256, 256)).transpose(0, 2, 3, 1)
    y = jax.jit(model.apply)(variables, jnp.asarray(x))
    golden.compare("pnet.eval", np.asarray(y).transpose(0, 3, 1, 2), EVALUATION_TOLERANCE)


@pytest.mark.parametrize(
    ("net", "dilated"), [("resnet18dilated", True), pytest.param("resnet18fc", False, marks=pytest.mark.slow)]
)
def test_resnet(golden, net, dilated):
    # Both networks use the parameter names of the dilated one.
    model, variables = golden.resnet(net, dilated=dilated, names_of="resnet18dilated")
    frames = golden.normal("frames.x", (1, 3, 3, 224, 224)).transpose(0, 2, 3, 4, 1)[0]
    maps = np.asarray(jax.jit(model.apply)(variables, jnp.asarray(frames)))
    golden.compare(f"{net}.pixels", maps[:1].transpose(0, 3, 1, 2), EVALUATION_TOLERANCE)
    if dilated:
        golden.compare(f"{net}.pooled", maps.max((0, 1, 2))[np.newaxis], EVALUATION_TOLERANCE)


@pytest.mark.parametrize(("name", "case"), [("log", "align_corners_True"), ("released", "align_corners_False")])
def test_frequency_warp_and_back(golden, name, case):
    axis = frequency_axis(name, 256, AUDIO)
    warped = axis.warp(golden.gamma("warp.x", (1, 1, 751, 256)))
    golden.compare(f"warp.{case}", warped, EVALUATION_TOLERANCE)
    golden.compare(f"unwarp.{case}", axis.unwarp(warped), EVALUATION_TOLERANCE)


def released_cross_entropy(logits, targets):
    """Computes PyTorch's cross entropy of a float32 mask, whose logarithms are clipped at -100."""
    masks = 1 / (1 + np.exp(-np.asarray(logits, np.float32)))
    with np.errstate(divide="ignore"):
        inside, outside = np.log(masks, dtype=np.float64), np.log1p(-masks, dtype=np.float64)
    return -np.where(np.asarray(targets) > 0, np.maximum(inside, -100), np.maximum(outside, -100))


class ReleasedPass:
    """The released forward pass of the Minus-Net's round on stored inputs, computed with this project's parts."""

    def __init__(self, golden, sources, *, train):
        self.axis = frequency_axis("released", 256, AUDIO)
        self.train = train
        self.unet, sound = golden.unet("sound_M", 7, train=train, names_of="unet7")
        self.resnet, frame = golden.resnet("frame_M", train=train, names_of="resnet18dilated")
        self.variables = {"sound_M": sound, "frame_M": frame}
        case = f"mix{sources}"
        numbers = range(sources)
        self.inputs = {
            "sources": np.stack([golden.gamma(f"{case}.mag{n}", (2, 1, 751, 256))[:, 0] for n in numbers], 1),
            # (batch, channel, time, height, width) with one frame each
            "frames": np.stack(
                [
                    golden.normal(f"{case}.frames{n}", (2, 3, 1, 224, 224))[:, :, 0].transpose(0, 2, 3, 1)
                    for n in numbers
                ],
                1,
            ),
        }
        self.inputs["mixture"] = np.float32(0.9) * self.inputs["sources"].sum(1)

    def __call__(self, params, inputs):
        linear, count = inputs["mixture"] + 1e-10, inputs["sources"].shape[1]
        mixture, sources = self.axis.warp(linear), self.axis.warp(inputs["sources"])

        def apply(net, model, *x):
            variables = {"params": params[net], "batch_stats": self.variables[net]["batch_stats"]}
            if self.train:
                return model.apply(variables, *x, mutable=["batch_stats"])[0]
            return model.apply(variables, *x)

        # The released code processes the clips of one source at a time, so each has its own batch statistics.
        maps = [apply("frame_M", self.resnet, inputs["frames"][:, n]) for n in range(count)]
        vectors = jnp.stack([jax.nn.sigmoid(m.max((1, 2))) for m in maps], 1)

        def minus(remaining, _):
            log = jax.lax.stop_gradient(jnp.log(remaining))
            return apply("sound_M", self.unet, log[..., None]), ()

        rules = of_mixture(
            Rules(mask_on="original", subtraction="product", energy=WrittenEnergy(self.axis), floor=1e-10), linear
        )
        separation = minus_plus(
            mixture,
            Candidates(vectors),
            Networks(minus, statistics={"minus": ()}),
            steps=count,
            rules=rules,
            loop=Loop(unroll=True),
        )
        objective = Objective(remaining="before", remaining_weight=1.0)
        loss, parts = separation_loss(
            separation, mixture, sources, rules=rules, objective=objective, minus_weight=1.0, with_plus=False
        )
        return loss, {
            "logits": by_candidate(separation.mask_logits, separation.chosen, count),
            "loss_remaining": parts["loss_remaining"],
            "pred_masks": by_candidate(separation.masks, separation.chosen, count),
            "gt_masks": binary_target(sources, mixture[:, None]),
            "weight": magnitude_weight(mixture),
        }


def compare_released(golden, case, out, tolerance):
    cross_entropy = released_cross_entropy(out["logits"], out["gt_masks"])
    loss = np.mean(np.asarray(out["weight"])[:, None] * cross_entropy) + out["loss_remaining"]
    golden.compare(f"{case}.loss", np.reshape(loss, 1), tolerance)
    for name in ("pred_masks", "gt_masks"):  # Stored as (source, batch, channel, freq, time).
        golden.compare(f"{case}.{name}", np.asarray(out[name]).swapaxes(0, 1)[:, :, None], tolerance)
    golden.compare(f"{case}.weight", np.asarray(out["weight"])[:, None], tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("sources", [2, 3])
def test_released_pass_with_running_statistics(golden, sources):
    released = ReleasedPass(golden, sources, train=False)
    params = {net: variables["params"] for net, variables in released.variables.items()}
    _, out = jax.jit(released)(params, released.inputs)
    compare_released(golden, f"mpnet.mix{sources}.eval", out, EVALUATION_TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("sources", [2, 3])
def test_released_pass_and_gradients_with_batch_statistics(golden, sources):
    case = f"mpnet.mix{sources}.train"
    released = ReleasedPass(golden, sources, train=True)
    params = {net: variables["params"] for net, variables in released.variables.items()}
    (_, out), gradients = jax.jit(jax.value_and_grad(released, has_aux=True))(params, released.inputs)
    compare_released(golden, case, out, TRAINING_TOLERANCE)
    expected = json.loads(str(golden.arrays[f"{case}.grad_norms"]))
    tables = {"sound_M": torch_weights.unet_names(7), "frame_M": torch_weights.resnet_names()}
    norms = {}
    for name in expected:
        net, entry = name.split(".", 1)
        gradient = {"params": gradients[net]}
        for key in tables[net][entry]:
            gradient = gradient[key]
        norms[name] = float(jnp.linalg.norm(gradient))
    assert len(norms) == len(jax.tree.leaves(params))
    off = {name: abs(norm / expected[name] - 1) for name, norm in norms.items()}
    assert max(off.values()) < CANCELLING_TOLERANCE, off
    assert sorted(off.values())[-3] < TRAINING_TOLERANCE, off


@pytest.fixture(scope="module")
def pixelplayer_pass(pixelplayer):
    """Returns sources, mixture, mask logits of the clips, and mask logits of the places of the first frame."""
    axis = frequency_axis("released", 256, PIXELPLAYER_AUDIO)
    resnet, frame = pixelplayer.resnet("frame", outputs=32)
    unet, sound = pixelplayer.unet("sound", 7, outputs=32)
    synthesizer = {
        "params": {name: pixelplayer.weight("synth", name, shape) for name, shape in (("scale", [32]), ("bias", [1]))}
    }
    linear = np.stack([pixelplayer.gamma(f"pp.mag{n}", (2, 1, 512, 256))[:, 0] for n in range(2)], 1)
    frames = np.stack([pixelplayer.normal(f"pp.frames{n}", (2, 3, 3, 224, 224)) for n in range(2)], 1)
    sources, mixture = axis.warp(linear), axis.warp(np.float32(0.9) * linear.sum(1) + np.float32(1e-10))
    maps = jax.jit(resnet.apply)(frame, frames.transpose(0, 1, 3, 4, 5, 2).reshape(12, 224, 224, 3))
    maps = maps.reshape(2, 2, 3, *maps.shape[1:])
    features = jax.jit(unet.apply)(sound, jnp.log(mixture)[..., None])
    vectors = jax.nn.sigmoid(maps.max((2, 3, 4)))
    logits = Synthesizer().apply(synthesizer, vectors, lambda weights: features @ weights[:, None])
    places = jax.nn.sigmoid(maps[:1, 0, 0]).reshape(1, -1, 32)
    by_place = Synthesizer().apply(synthesizer, places, lambda weights: features[:1] @ weights[:, None])
    return sources, mixture, logits, by_place


@pytest.mark.slow
def test_pixelplayer(pixelplayer, pixelplayer_pass):
    sources, mixture, logits, by_place = pixelplayer_pass
    masks = np.asarray(jax.nn.sigmoid(logits)).swapaxes(0, 1)[:, :, None]
    pixelplayer.compare("pixelplayer.pred_masks", masks, EVALUATION_TOLERANCE)
    targets = binary_target(sources, mixture[:, None])
    loss = np.mean(np.asarray(magnitude_weight(mixture))[:, None] * released_cross_entropy(logits, targets))
    pixelplayer.compare("pixelplayer.loss", np.reshape(loss, 1), EVALUATION_TOLERANCE)
    pixelplayer.compare(
        "pixelplayer.pixelwise", np.asarray(by_place).reshape(1, 14, 14, 256, 256), EVALUATION_TOLERANCE
    )
