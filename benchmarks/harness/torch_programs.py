"""The PyTorch peer's programs for a worker."""

import torch  # pyright: ignore[reportMissingImports]
from torch.utils.flop_counter import FlopCounterMode  # pyright: ignore[reportMissingImports]

from benchmarks.harness.program import MATRIX_GFLOP, MATRIX_SIDE, PICTURES, Program
from benchmarks.harness.sizes import size_config, synthetic_batch
from benchmarks.harness.torch_peer import MPNet, TrainingStep, to_torch
from mpnet_jax.config.specs import Config, audio_spec


def build(size: str, part: str, memory_format: str) -> Program:
    """Builds one of `program.PARTS` at a size, in a memory format."""
    torch.manual_seed(0)
    config = size_config(size)
    run = _step(config, memory_format) if part == "step" else _network(config, part, memory_format)
    # Counts multiplications and additions of convolutions and matrix products, forward and backward.
    with FlopCounterMode(display=False) as counter:
        run()
    return Program(run, counter.get_total_flops() / 1e9, {})


def matmul() -> Program:
    """Builds a square matrix product in float32."""
    a = torch.randn(MATRIX_SIDE, MATRIX_SIDE)
    return Program(lambda: a @ a, MATRIX_GFLOP, {})


def _step(config: Config, memory_format: str):
    step = TrainingStep(config, memory_format)
    batch = to_torch(synthetic_batch(config), memory_format)
    return lambda: step(batch)


def _network(config: Config, part: str, memory_format: str):
    """Builds one network: its forward pass, or the gradient of its mean square output."""
    model = MPNet(config, memory_format)
    if part == "frame_net":
        side = config.frames.crop_px
        network, inputs = model.frame_net, torch.randn(PICTURES, 3, side, side)
        inputs = inputs.contiguous(memory_format=model.memory_format)
    else:
        shape = (config.batch_size, config.audio.frequency_rows, audio_spec(config).time_frames)
        network, inputs = model.listen, torch.exp(torch.randn(shape))

    def forward() -> None:
        with torch.no_grad():
            network(inputs)

    def gradient() -> None:
        model.zero_grad()
        network(inputs).square().mean().backward()

    return forward if part == "unet_forward" else gradient
