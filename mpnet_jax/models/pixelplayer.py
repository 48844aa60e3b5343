"""PixelPlayer's way from visual vectors and feature maps to masks: all sounds from one pass, none subtracted."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class Synthesizer(nn.Module):
    """Weighs each feature map by a visual vector and by a learnt scale, and adds a learnt bias.

    Source: "The Sound of Pixels" (ECCV 2018), Sec. 3.1, and its released code.
    """

    @nn.compact
    def __call__(
        self, vectors: Float[Array, "batch candidate k"], features: Float[Array, "batch freq time k"]
    ) -> Float[Array, "batch candidate freq time"]:
        """Returns the masks' logits of each candidate: a clip, or a place of a picture."""
        scale = self.param("scale", nn.initializers.ones, (features.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (1,))
        return jnp.einsum("bck,bftk->bcft", vectors * scale, features) + bias
