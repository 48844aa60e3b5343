import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.harness.sizes import size_config, synthetic_batch
from mpnet_jax import parallel
from mpnet_jax.methods.registry import method_of
from mpnet_jax.steps.train_state import TrainState
from tests.support.random_variables import random_variables

torch = pytest.importorskip("torch")

from benchmarks.harness.torch_peer import TrainingStep, to_torch

STEPS = 3


def tiny_config(**changes):
    config = size_config("full")
    fields = {
        "batch_size": 2,
        "audio.clip_samples": 31 * 64,
        "audio.fft_samples": 254,
        "audio.hop_samples": 64,
        "audio.frequency_rows": 32,
        "frames.count": 2,
        "frames.crop_px": 32,
        "model.visual_channels": 3,
        "model.unet_depth": 3,
        "model.unet_features": 4,
        "model.resnet_features": 2,
        "optimiser.schedule": "constant",
    }
    config.update_from_flattened_dict(fields | changes)
    return config


def to_tensor(values):
    return torch.from_numpy(np.ascontiguousarray(values))


def kernel_of(values):
    """Transposes (height, width, in, out), or (in, out) of a 1x1 convolution, to (out, in, height, width)."""
    values = values if values.ndim == 4 else values[None, None]
    return values.transpose(3, 2, 0, 1)


def copy_conv(conv, params):
    conv.weight.data.copy_(to_tensor(kernel_of(params["kernel"])))
    if conv.bias is not None:
        conv.bias.data.copy_(to_tensor(params["bias"]))


def copy_norm(norm, params):
    norm.weight.data.copy_(to_tensor(params["scale"]))
    norm.bias.data.copy_(to_tensor(params["bias"]))


def copy_parameters(model, params):
    """Copies our parameters to the peer and checks that all of its parameters are set."""
    for parameter in model.parameters():
        parameter.data.fill_(np.nan)
    unet, ours = model.minus_net, params["minus_net"]
    copy_norm(unet.norm_in, ours["norm_in"])
    for side in ("down", "up"):
        for level, conv in enumerate(getattr(unet, side)):
            copy_conv(conv, ours[f"{side}_{level}"])
            if f"{side}_norm_{level}" in ours:
                copy_norm(getattr(unet, f"{side}_norm")[level], ours[f"{side}_norm_{level}"])
    resnet, ours = model.frame_net, params["frame_net"]
    copy_conv(resnet.conv_in, ours["conv_in"])
    copy_norm(resnet.norm_in, ours["norm_in"])
    copy_conv(resnet.conv_out, ours["conv_out"])
    for number, block in enumerate(resnet.blocks):
        theirs = ours[f"stage{number // 2 + 1}_block{number % 2 + 1}"]
        for i in (1, 2):
            copy_conv(getattr(block, f"conv{i}"), theirs[f"conv{i}"])
            copy_norm(getattr(block, f"norm{i}"), theirs[f"norm{i}"])
        if "shortcut_conv" in theirs:
            copy_conv(block.shortcut[0], theirs["shortcut_conv"])
            copy_norm(block.shortcut[1], theirs["shortcut_norm"])
    assert not any(torch.isnan(parameter).any() for parameter in model.parameters())


def our_metrics(config, batch):
    """Returns the initial parameters and the metrics of the first steps."""
    each = method_of(config).rounds[0]
    rows = config.audio.frequency_rows
    mixture = jnp.ones((config.batch_size, rows, batch["mixture_magnitude"].shape[-1]))
    variables = random_variables(method_of(config).model(), jnp.asarray(batch["frames"]), mixture)
    variables = jax.tree.map(lambda x: x.astype(np.float64), variables)
    statistics = dict(variables["batch_stats"])
    statistics["minus_net"] = jax.tree.map(lambda x: np.stack([x] * config.mixing.sources), statistics["minus_net"])
    state = TrainState(jnp.zeros((), jnp.int32), variables["params"], statistics, ())
    state = parallel.replicate(method_of(config).state_in(state, each))
    step = parallel.parallel_step(method_of(config).train_step(each))
    metrics = []
    for _ in range(STEPS):
        state, of_step = step(state, parallel.shard(batch))
        metrics.append(parallel.unreplicate(of_step))
    return variables["params"], metrics


@pytest.mark.parametrize(
    ("memory_format", "changes"),
    [
        ("nchw", {}),
        (
            "channels_last",
            {
                "model.resnet_dilated": False,
                "model.visual_pooling": "mean",
                "model.visual_activation": "none",
                "mask": "ratio",
                "loss.remaining_weight": 0.0,
                "optimiser.name": "adam",
            },
        ),
    ],
)
def test_peer_takes_the_same_steps(memory_format, changes):
    config = tiny_config(**changes)
    with jax.enable_x64(True):
        batch = {
            name: x if x.dtype == np.uint8 else x.astype(np.float64) for name, x in synthetic_batch(config).items()
        }
        params, ours = our_metrics(config, batch)
    peer = TrainingStep(config, memory_format)
    peer.model.double()
    copy_parameters(peer.model, params)
    tensors = to_torch(batch, memory_format)
    for expected in ours:
        metrics = peer(tensors)
        # Our pictures are float32 until the first convolution, and Adam amplifies differences of small gradients.
        assert metrics["loss"] == pytest.approx(float(expected["loss"]), rel=1e-5)
        assert metrics["gradient_norm"] == pytest.approx(float(expected["gradient_norm"]), rel=1e-4)


def test_channels_last_is_kept_by_all_layers():
    config = tiny_config()
    peer = TrainingStep(config, "channels_last")
    layouts = []
    for module in peer.model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda _, inputs, y: layouts.extend(
                    x.is_contiguous(memory_format=torch.channels_last) for x in (*inputs, y)
                )
            )
    peer(to_torch(synthetic_batch(config), "channels_last"))
    assert layouts and all(layouts)


def test_peer_refuses_an_unsupported_rule():
    with pytest.raises(ValueError, match=r"recursion.mask_on='original': the peer has only 'remaining'"):
        TrainingStep(tiny_config(**{"recursion.mask_on": "original"}), "nchw")
