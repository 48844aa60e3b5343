"""MP-Net's three networks in one module: frame network, Minus-Net and Plus-Net."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mpnet_jax.models.frame_net import FrameNetSpec
from mpnet_jax.models.unet import UNet, log_magnitude
from mpnet_jax.models.visual import clip_vectors, place_vectors


class MPNet(nn.Module):
    """The frame network, the Minus-Net and the optional Plus-Net. Source: Sec. 3.1 to 3.3.

    Attributes:
        visual_channels: Length of a visual vector and number of feature maps (the paper's k).
        unet_depth: Number of halvings in the Minus-Net and in the Plus-Net.
        unet_features: Channels of the Minus-Net's first layer.
        plus_features: Channels of the Plus-Net's first layer; 0 builds no Plus-Net.
        plus_bias: Initial bias of the Plus-Net's logits, or of each of its feature maps.
        plus_inputs: Spectrograms that the Plus-Net sees, one input channel each: names of `PlusInputs`.
        plus_looks: Whether the Plus-Net returns k feature maps, which the visual vector of the sound weights as it does
            the Minus-Net's, instead of one map.
        frame_spec: Kind and size of the frame network.
        classes: Number of classes of an auxiliary classification of the visual vectors; 0 builds none.
        initial_weights: Initial weights of the U-Nets; see `unet.UNet`.
        train: Whether batch statistics are used instead of running statistics.
        axis_name: The pmap axis of the devices that share a batch.
        statistics_decay: Weight of the old running statistics in each update.
        compute_dtype: See `unet.UNet`.
        log_epsilon: Linear magnitude that is added before the logarithm.
        stop_gradient_input: Whether gradients stop at the log magnitudes that enter the Minus-Net and the Plus-Net.
        visual_pooling: Pooling of a clip's maps over frames and places: "max", "mean" or "logmeanexp".
        visual_activation: Activation of the pooled visual vector: "sigmoid" or "none".
        place_side: See `visual.place_vectors`.
    """

    visual_channels: int
    unet_depth: int
    unet_features: int
    frame_spec: FrameNetSpec
    classes: int = 0
    initial_weights: str = "released"
    plus_features: int = 0
    plus_bias: float = 0.0
    plus_inputs: tuple[str, ...] = ("remix", "sound")
    plus_looks: bool = False
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
        """Builds the networks; their attribute names are the keys of `params` and `batch_stats`."""
        shared = {
            "train": self.train,
            "axis_name": self.axis_name,
            "statistics_decay": self.statistics_decay,
            "compute_dtype": self.compute_dtype,
        }
        self.frame_net = self.frame_spec.build(self.visual_channels, **shared)
        if self.classes:
            self.class_head = nn.Dense(self.classes)
        shared["initial_weights"] = self.initial_weights
        self.minus_net = UNet(self.unet_depth, self.unet_features, self.visual_channels, **shared)
        if self.plus_features:
            maps = self.visual_channels if self.plus_looks else 1
            self.plus_net = UNet(self.unet_depth, self.plus_features, maps, bias=self.plus_bias, **shared)

    def look(self, seen: Array) -> Float[Array, "batch source k"]:
        """Returns one visual vector for each clip; see `visual.clip_vectors`."""
        return clip_vectors(self.frame_net, seen, pooling=self.visual_pooling, activation=self.visual_activation)

    def look_at_places(self, frames: Array) -> Float[Array, "batch height width k"]:
        """Returns one visual vector for each place of the frame; see `visual.place_vectors`."""
        return place_vectors(
            self.frame_net,
            frames,
            pooling=self.visual_pooling,
            activation=self.visual_activation,
            side=self.place_side,
        )

    def classify(self, vectors: Float[Array, "batch source k"]) -> Float[Array, "batch source class"]:
        """Returns class logits of visual vectors, for the auxiliary loss."""
        return self.class_head(vectors)

    def listen(self, remaining: Float[Array, "batch freq time"]) -> Float[Array, "batch freq time k"]:
        """Returns the Minus-Net's k feature maps of a remaining mixture (linear magnitudes on the network's axis)."""
        # The log magnitude is the only input channel: (batch, freq, time, 1) -> (batch, freq, time, k).
        return self.minus_net(self._log(remaining)[..., None])

    def mask_logits(
        self, remaining: Float[Array, "batch freq time"], vectors: Float[Array, "batch k"]
    ) -> Float[Array, "batch freq time"]:
        """Returns the logits of one candidate's mask, the feature maps weighted by its visual vector. Source: Eq. 2.

        The result is that of `listen` and a product with the vector, and takes less time.

        Args:
            remaining: See `listen`.
            vectors: Visual vector of the candidate.
        """
        return self.minus_net(self._log(remaining)[..., None], vectors[..., None])[..., 0]

    def give_back(
        self, *spectra: Float[Array, "batch freq time"], vectors: Float[Array, "batch k"] | None = None
    ) -> Float[Array, "batch freq time"]:
        """Returns the Plus-Net's mask logits: which part of the other sounds belongs to this sound. Source: Eq. 9.

        Args:
            spectra: Linear magnitudes in the order of `plus_inputs`; by default the sum of the sounds that were
                separated before, and the sound that was separated now.
            vectors: Visual vector of the sound's candidate, for a Plus-Net that looks.
        """
        assert len(spectra) == len(self.plus_inputs) and (vectors is not None) == self.plus_looks
        # The spectrograms are input channels: (batch, freq, time, channel) -> (batch, freq, time, 1), one map or the
        # weighted sum of all -> (batch, freq, time).
        log = self._log(jnp.stack(spectra, axis=-1))
        return self.plus_net(log, None if vectors is None else vectors[..., None])[..., 0]

    def _log(self, magnitude: Array) -> Array:
        # Without this stop, a later step's loss would reach the masks of the earlier steps through its input.
        log = log_magnitude(magnitude, epsilon=self.log_epsilon)
        return jax.lax.stop_gradient(log) if self.stop_gradient_input else log

    def __call__(
        self, seen: Array, remaining: Float[Array, "batch freq time"]
    ) -> tuple[Float[Array, "batch source k"], Float[Array, "batch freq time k"]]:
        """Applies every network once, so that `init` creates all parameters."""
        if self.plus_features:
            vectors = jnp.ones((len(remaining), self.visual_channels)) if self.plus_looks else None
            self.give_back(*[remaining] * len(self.plus_inputs), vectors=vectors)
        vectors = self.look(seen)
        if self.classes:
            self.classify(vectors)
        return vectors, self.listen(remaining)
