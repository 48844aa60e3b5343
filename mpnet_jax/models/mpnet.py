"""MP-Net's networks in one module: pictures to visual vectors, a mixture to feature maps, two sounds to a mask."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mpnet_jax.models.resnet import ResNet18
from mpnet_jax.models.unet import UNet, log_magnitude
from mpnet_jax.models.visual import clip_vectors, place_vectors


class MPNet(nn.Module):
    """The frame network, the M-Net and, where wanted, the P-Net. Source: Sec. 3.1 to 3.3.

    Attributes:
        visual_channels: length of a visual vector and number of feature maps (the paper's k).
        unet_depth: halvings of the M-Net and the P-Net.
        unet_features: first width of the M-Net.
        plus_features: first width of the P-Net; 0 for none.
        plus_bias: initial offset of the P-Net's masks before the sigmoid.
        resnet_features: first width of the frame network.
        resnet_dilated: dilate the frame network's last stage.
        train: batch statistics instead of running ones.
        axis_name: pmap axis of the devices that share a batch.
        statistics_decay: share of the running statistics kept at each step.
        compute_dtype: see `unet.UNet`.
        log_epsilon: linear magnitude added before the logarithm.
        stop_gradient_input: no gradient through the log-magnitudes that enter the M-Net and the P-Net.
        visual_pooling: "max" or "mean" of a clip's map over frames and places.
        visual_activation: of a pooled visual vector: "sigmoid" or "none".
        place_side: see `visual.place_vectors`.
    """

    visual_channels: int
    unet_depth: int
    unet_features: int
    resnet_features: int
    resnet_dilated: bool
    plus_features: int = 0
    plus_bias: float = 0.0
    train: bool = False
    axis_name: str | None = None
    statistics_decay: float = 0.9
    compute_dtype: DTypeLike | None = None
    log_epsilon: float = 1e-6
    stop_gradient_input: bool = True
    visual_pooling: str = "max"
    visual_activation: str = "sigmoid"
    place_side: int = 1

    def setup(self) -> None:
        """Builds the networks."""
        shared = {
            "train": self.train,
            "axis_name": self.axis_name,
            "statistics_decay": self.statistics_decay,
            "compute_dtype": self.compute_dtype,
        }
        self.frame_net = ResNet18(self.visual_channels, self.resnet_features, self.resnet_dilated, **shared)
        self.minus_net = UNet(self.unet_depth, self.unet_features, self.visual_channels, **shared)
        if self.plus_features:
            self.plus_net = UNet(self.unet_depth, self.plus_features, 1, bias=self.plus_bias, **shared)

    def look(self, frames: Array) -> Float[Array, "batch source k"]:
        """Visual vectors of whole clips; see `visual.clip_vectors`."""
        return clip_vectors(self.frame_net, frames, pooling=self.visual_pooling, activation=self.visual_activation)

    def look_at_places(self, frames: Array) -> Float[Array, "batch height width k"]:
        """Visual vectors of the places of a clip's picture; see `visual.place_vectors`."""
        return place_vectors(
            self.frame_net,
            frames,
            pooling=self.visual_pooling,
            activation=self.visual_activation,
            side=self.place_side,
        )

    def listen(self, remaining: Float[Array, "batch freq time"]) -> Float[Array, "batch freq time k"]:
        """Feature maps of a remaining mixture (linear magnitudes on the network's axis)."""
        return self.minus_net(self._log(remaining)[..., None])

    def give_back(
        self, remix: Float[Array, "batch freq time"], sound: Float[Array, "batch freq time"]
    ) -> Float[Array, "batch freq time"]:
        """Logits of a sound's share of what was separated before it (linear magnitudes). Source: Eq. 9."""
        return self.plus_net(self._log(jnp.stack([remix, sound], axis=-1)))[..., 0]

    def _log(self, magnitude: Array) -> Array:
        log = log_magnitude(magnitude, epsilon=self.log_epsilon)
        return jax.lax.stop_gradient(log) if self.stop_gradient_input else log

    def __call__(
        self, frames: Array, remaining: Float[Array, "batch freq time"]
    ) -> tuple[Float[Array, "batch source k"], Float[Array, "batch freq time k"]]:
        """Each network once: what initialises their parameters."""
        if self.plus_features:
            self.give_back(remaining, remaining)
        return self.look(frames), self.listen(remaining)
