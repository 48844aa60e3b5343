"""The frame network of a model, by name: ResNet-18, or a small head on a pretrained EfficientNet-Lite0."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mpnet_jax.models.efficientnet import EfficientNetLite0, normalise_pictures
from mpnet_jax.models.layers.batch_norm import BatchNorm
from mpnet_jax.models.resnet import ResNet18

HEAD_LAYERS = ("norm_out", "conv_out")  # layers behind the trunk
NOISE = "noise"  # name of the random keys for noise on features

Pool = Callable[[Array], Array]


@runtime_checkable
class FrameNet(Protocol):
    """What a model asks of its frame network."""

    def pooled(self, seen: Array, pool: Pool, *, average: bool) -> Array:
        """Returns pooled vectors, before the activation; see `PretrainedFrameNet.pooled`."""
        ...


@dataclasses.dataclass(frozen=True)
class FrameNetSpec:
    """Kind and size of a frame network.

    Attributes:
        kind: "resnet18" or "efficientnet_lite0".
        resnet_features: Channels of the first stage of ResNet-18.
        dilated: Whether the last stage is dilated: places are then 16 pixels apart, else 32.
        trained: What learns: "all" of it, the "head" behind the trunk, or "nothing".
        noise: Standard deviation of the noise on normalised features in training; only for "efficientnet_lite0".
        dropout: Share of the features that are set to zero in training; only for "efficientnet_lite0".
    """

    kind: str = "resnet18"
    resnet_features: int = 64
    dilated: bool = True
    trained: str = "all"
    noise: float = 0.0
    dropout: float = 0.0

    def build(self, out_channels: int, **shared: Any) -> FrameNet:
        """Builds the network.

        Args:
            out_channels: Length of a visual vector (the paper's k).
            shared: `train`, `axis_name`, `statistics_decay` and `compute_dtype` of `resnet.ResNet18`.
        """
        if self.kind == "resnet18":
            frozen = self.trained != "all"
            return ResNet18(out_channels, self.resnet_features, self.dilated, frozen_trunk=frozen, **shared)
        return PretrainedFrameNet(out_channels, self, **shared)


class PretrainedFrameNet(nn.Module):
    """A linear layer on the normalised features of an EfficientNet-Lite0.

    With mean pooling the features are pooled first, which gives the same vectors and lets kept features be pooled ones.

    Attributes:
        out_channels: Length of a visual vector (the paper's k).
        spec: Kind and size.
        train, axis_name, statistics_decay, compute_dtype: See `resnet.ResNet18`.
    """

    out_channels: int
    spec: FrameNetSpec
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9
    compute_dtype: DTypeLike | None = None

    def setup(self) -> None:
        """Builds the trunk and the head."""
        self.trunk = EfficientNetLite0(
            self.spec.dilated,
            train=self.train and self.spec.trained == "all",
            axis_name=self.axis_name,
            statistics_decay=self.statistics_decay,
            compute_dtype=self.compute_dtype,
        )
        self.norm_out = BatchNorm(self.train, self.axis_name, decay=self.statistics_decay)
        self.conv_out = nn.Dense(self.out_channels)

    def pooled(self, seen: Array, pool: Pool, *, average: bool) -> Array:
        """Returns pooled vectors, before the activation.

        Args:
            seen: Pictures, uint8 (picture, height, width, 3), or features that `features` returned, (picture, h, w,
                channel) or averages of them.
            pool: Pooling of maps (picture, h, w, channel).
            average: Whether `pool` averages, so that it can come before the linear layer.
        """
        maps = self.features(seen) if seen.dtype == jnp.uint8 else seen.astype(jnp.float32)
        return self.head(pool(maps)) if average else pool(self.head(maps))

    def features(self, pictures: Array) -> Float[Array, "picture h w channel"]:
        """Returns the trunk's features of uint8 pictures; no gradient passes a frozen trunk."""
        maps = self.trunk(normalise_pictures(pictures)).astype(jnp.float32)
        return maps if self.spec.trained == "all" else jax.lax.stop_gradient(maps)

    def head(self, features: Float[Array, "*place channel"]) -> Float[Array, "*place k"]:
        """Returns the vectors of features; in training with noise and dropout."""
        x = self.norm_out(features)
        if self.train and self.spec.noise:
            x = x + self.spec.noise * jax.random.normal(self.make_rng(NOISE), x.shape, x.dtype)
        if self.train and self.spec.dropout:
            # All places of a picture lose the same features: a neighbouring place would show what one place lacks.
            each = (len(x), 1, 1, x.shape[-1]) if x.ndim == 4 else x.shape
            kept = jax.random.bernoulli(self.make_rng(NOISE), 1.0 - self.spec.dropout, each)
            x = jnp.where(kept, x / (1.0 - self.spec.dropout), 0.0)
        return self.conv_out(x)

    def __call__(self, pictures: Array) -> Float[Array, "picture h w k"]:
        """Returns one vector for each place of uint8 pictures, before the activation."""
        return self.head(self.features(pictures))
