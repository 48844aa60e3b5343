"""A plain PyTorch peer of the Minus-Net round's training step, to compare ours with.

It has the networks, recursion, loss and optimiser of `mpnet_jax`, in eager mode with native operations. Two differences
cost no time: one set of running statistics for all steps of the recursion, and a constant learning rate.
"""

import dataclasses

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import torch.nn.functional as F  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from benchmarks.harness.torch_nets import ResNet18, UNet
from mpnet_jax.config.specs import Config, audio_spec
from mpnet_jax.spectrogram.frequency import frequency_axis

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
EPSILON = 1e-6
MEMORY_FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


class MPNet(nn.Module):
    """The frame network and the Minus-Net.

    Args:
        config: Config of the run.
        memory_format: Memory format of all maps, "nchw" or "channels_last".

    Raises:
        ValueError: The peer does not implement a rule of the recursion.
    """

    image_mean: torch.Tensor
    image_std: torch.Tensor
    warp: torch.Tensor

    def __init__(self, config: Config, memory_format: str):
        super().__init__()
        for field, value in (("mask_on", "remaining"), ("subtraction", "difference"), ("energy", "magnitude")):
            if config.recursion[field] != value:
                raise ValueError(f"config.recursion.{field}={config.recursion[field]!r}: the peer has only {value!r}")
        fields = config.model
        momentum = 1 - fields.statistics_decay
        self.frame_net = ResNet18(
            fields.visual_channels, fields.resnet_features, dilated=fields.resnet_dilated, momentum=momentum
        )
        self.minus_net = UNet(fields.unet_depth, fields.unet_features, fields.visual_channels, momentum=momentum)
        self.memory_format = MEMORY_FORMATS[memory_format]
        self.to(memory_format=self.memory_format)  # pyright: ignore[reportCallIssue]
        assert fields.visual_pooling in ("mean", "max")
        self.pool_mean = fields.visual_pooling == "mean"
        self.sigmoid = fields.visual_activation == "sigmoid"
        self.stop_gradient_input = fields.stop_gradient_input
        axis = frequency_axis(config.audio.frequency_axis, config.audio.frequency_rows, audio_spec(config))
        for name, values in (("mean", IMAGE_MEAN), ("std", IMAGE_STD)):
            self.register_buffer(f"image_{name}", 255 * torch.tensor(values)[:, None, None])
        self.register_buffer("warp", torch.from_numpy(axis.forth))

    def look(self, frames: torch.Tensor) -> torch.Tensor:
        """Returns visual vectors (batch, source, k) of uint8 pictures (batch, source, frame, 3, height, width)."""
        pictures = (frames.flatten(0, 2) - self.image_mean) / self.image_std
        maps = self.frame_net(pictures.contiguous(memory_format=self.memory_format))
        maps = maps.unflatten(0, frames.shape[:3])
        vectors = maps.mean((2, 4, 5)) if self.pool_mean else maps.amax((2, 4, 5))
        return torch.sigmoid(vectors) if self.sigmoid else vectors

    def listen(self, remaining: torch.Tensor) -> torch.Tensor:
        """Returns feature maps (batch, k, freq, time) of a remaining mixture (batch, freq, time)."""
        magnitude = remaining.detach() if self.stop_gradient_input else remaining
        x = torch.log(magnitude + EPSILON)[:, None]
        return self.minus_net(x.contiguous(memory_format=self.memory_format))


@dataclasses.dataclass(frozen=True)
class Loss:
    """The training loss.

    Attributes:
        mask: "binary" or "ratio".
        remaining_weight: Weight of the loss on the remaining mixture.
    """

    mask: str
    remaining_weight: float

    def __call__(self, model: MPNet, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Returns the loss of a batch; sources are separated in descending order of their true energy."""
        mixture = model.warp @ batch["mixture_magnitude"]
        sources = model.warp @ batch["source_magnitude"]
        weight = torch.log1p(mixture).clamp(1e-3, 10.0)
        order = sources.mean((2, 3)).argsort(1, descending=True)
        vectors = model.look(batch["frames"])
        rows = torch.arange(len(mixture))
        remaining, losses = mixture, []
        for chosen in order.T:
            logits = torch.einsum("bkft,bk->bft", model.listen(remaining), vectors[rows, chosen])
            with torch.no_grad():
                target = self._target(sources[rows, chosen], remaining)
            losses.append(self._mask_loss(logits, target, weight))
            remaining = F.relu(remaining - torch.sigmoid(logits) * remaining)
        loss = torch.stack(losses).mean()
        if self.remaining_weight:
            loss = loss + self.remaining_weight * (weight * remaining).mean()
        return loss

    def _target(self, source: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        if self.mask == "binary":
            return (source > 0.5 * reference).to(source.dtype)
        return (source / reference.clamp_min(EPSILON)).clamp(0.0, 1.0)

    def _mask_loss(self, logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        if self.mask == "binary":
            return F.binary_cross_entropy_with_logits(logits, target, weight)
        return (weight * (torch.sigmoid(logits) - target).abs()).mean()


class TrainingStep:
    """The complete step: forward, backward, gradient norm, optimiser.

    Args:
        config: Config of the run.
        memory_format: "nchw" or "channels_last".
    """

    def __init__(self, config: Config, memory_format: str):
        self.model = MPNet(config, memory_format)
        self._loss = Loss(config.mask, config.loss.remaining_weight)
        self._optimiser = _optimiser(config.optimiser, self.model)

    def __call__(self, batch: dict[str, torch.Tensor]) -> dict[str, float]:
        """Takes one step on a batch from `to_torch`; returns the loss and the gradient norm."""
        self._optimiser.zero_grad()
        loss = self._loss(self.model, batch)
        loss.backward()
        norm = nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        self._optimiser.step()
        return {"loss": loss.item(), "gradient_norm": norm.item()}


def _optimiser(fields: Config, model: MPNet) -> torch.optim.Optimizer:
    """Returns the config's optimiser in PyTorch's fused form, its fastest, with learning rates by part."""
    rate, decay = fields.learning_rate, fields.weight_decay
    head = [*model.frame_net.conv_out.parameters()]
    trunk = [p for p in model.frame_net.parameters() if not any(p is of_head for of_head in head)]
    parts = {"frame_trunk": trunk, "frame_head": head, "minus_net": [*model.minus_net.parameters()]}
    groups = [{"params": values, "lr": rate * fields.scale[part]} for part, values in parts.items()]
    by_name = {
        "sgd": lambda p: torch.optim.SGD(p, rate, momentum=fields.momentum, weight_decay=decay, fused=True),
        "adam": lambda p: torch.optim.Adam(p, rate, fused=True),
        "adamw": lambda p: torch.optim.AdamW(p, rate, weight_decay=decay, fused=True),
    }
    return by_name[fields.name](groups)


def to_torch(batch: dict[str, np.ndarray], memory_format: str) -> dict[str, torch.Tensor]:
    """Converts our batch to tensors, with pictures as (batch, source, frame, 3, height, width)."""
    tensors = {name: torch.from_numpy(x) for name, x in batch.items()}
    frames = tensors["frames"].movedim(-1, 3)
    return tensors | {"frames": frames if memory_format == "channels_last" else frames.contiguous()}
