"""The recursion: separate the loudest sound, subtract it, go on with what remains.

One pure `lax.scan` over steps. It takes callables and knows no network, so an oracle can test it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# (remaining mixture's linear magnitude, this step's statistics) -> (feature maps, statistics to keep)
SoundFn = Callable[[Array, Any], tuple[Array, Any]]


class Separation(NamedTuple):
    """Every step of the recursion; an inactive step is silent.

    Attributes:
        mask_logits: of the chosen candidate, before the sigmoid.
        masks: the chosen candidate's soft mask on the remaining mixture.
        before: the remaining mixture that each step saw, S_{i-1}.
        sounds: the separated sound of each step.
        chosen: the candidate that each step took.
        active: whether the step still found sound, sample by sample.
        energies: mean energy of every candidate's sound at each step; only where the order is predicted, else zeros.
        remaining: what is left after the last step, S_n.
        statistics: what `sound_fn` returned at each step, stacked.
    """

    mask_logits: Float[Array, "step batch freq time"]
    masks: Float[Array, "step batch freq time"]
    before: Float[Array, "step batch freq time"]
    sounds: Float[Array, "step batch freq time"]
    chosen: Int[Array, "step batch"]
    active: Bool[Array, "step batch"]
    energies: Float[Array, "step batch candidate"]
    remaining: Float[Array, "batch freq time"]
    statistics: Any


def subtract(
    mixture: Float[Array, "batch freq time"], sound: Float[Array, "batch freq time"]
) -> Float[Array, "batch freq time"]:
    """Takes a separated sound out of the mixture (linear magnitudes, never below zero). Source: Eq. 3."""
    return jnp.maximum(mixture - sound, 0.0)


def minus_plus(
    mixture: Float[Array, "batch freq time"],
    vectors: Float[Array, "batch candidate k"],
    sound_fn: SoundFn,
    *,
    statistics: Any,
    steps: int,
    order: Int[Array, "batch step"] | None = None,
    epsilon: float | None = None,
    unroll: bool = False,
) -> Separation:
    """Separates a mixture into one sound a step, in descending order of energy.

    Args:
        mixture: linear magnitudes on the network's frequency axis, S_0.
        vectors: a visual vector for each candidate, after the sigmoid.
        sound_fn: feature maps (batch, freq, time, k) of a remaining mixture.
        statistics: tree whose leaves have a leading axis of `steps`; step i of it goes into `sound_fn`.
        steps: greatest number of sounds.
        order: candidate to take at each step (in training: ground-truth energy); None takes the one of greatest
            predicted energy that has not been taken.
        epsilon: a step is active while mean(S_{i-1}) > epsilon * mean(S_0); None leaves every step active.
        unroll: write the loop out. On a CPU convolution gradients inside a rolled loop are many times slower.

    Returns:
        All steps; see `Separation`. Source: Sec. 3.2, Eqs. 2, 3 and 7.

    Raises:
        ValueError: more steps than candidates.
    """
    candidates = vectors.shape[1]
    if steps > candidates:
        raise ValueError(f"steps={steps} must be at most the number of candidates, {candidates}")
    loudness = jnp.mean(mixture, (1, 2))

    def step(carry, inputs):
        remaining, taken = carry
        statistics_in, given = inputs
        features, statistics_out = sound_fn(remaining, statistics_in)
        if order is None:
            logits = jnp.einsum("bftk,bck->bcft", features, vectors)
            energies = jnp.mean(jax.nn.sigmoid(logits) * remaining[:, None], (2, 3))
            chosen = jnp.argmax(jnp.where(taken, -jnp.inf, energies), axis=1)
            chosen_logits = jnp.take_along_axis(logits, chosen[:, None, None, None], axis=1)[:, 0]
        else:
            energies = jnp.zeros_like(vectors[..., 0])
            chosen = given
            vector = jnp.take_along_axis(vectors, chosen[:, None, None], axis=1)[:, 0]
            chosen_logits = jnp.einsum("bftk,bk->bft", features, vector)
        mean_left = jnp.mean(remaining, (1, 2))
        active = mean_left > epsilon * loudness if epsilon is not None else jnp.ones_like(mean_left, bool)
        mask = jnp.where(active[:, None, None], jax.nn.sigmoid(chosen_logits), 0.0)
        sound = mask * remaining
        taken = taken | (jax.nn.one_hot(chosen, candidates, dtype=bool) & active[:, None])
        outputs = (chosen_logits, mask, remaining, sound, chosen, active, energies, statistics_out)
        return (subtract(remaining, sound), taken), outputs

    given = jnp.zeros((steps, mixture.shape[0]), jnp.int32) if order is None else order.T[:steps]
    start = (mixture, jnp.zeros(vectors.shape[:2], bool))
    (remaining, _), outputs = jax.lax.scan(step, start, (statistics, given), length=steps, unroll=unroll)
    *stacked, statistics = outputs
    return Separation(*stacked, remaining=remaining, statistics=statistics)


def energy_order(sources: Float[Array, "batch source freq time"]) -> Int[Array, "batch source"]:
    """Sources in descending mean energy. Source: Sec. 4.2 (training takes the ground truth's order)."""
    return jnp.argsort(-jnp.mean(sources, (2, 3)), axis=1)


def by_candidate(
    values: Float[Array, "step batch freq time"], chosen: Int[Array, "step batch"], candidates: int
) -> Float[Array, "batch candidate freq time"]:
    """Sorts the steps' maps by the candidate that each took; zero where none took it."""
    taken = jax.nn.one_hot(chosen, candidates, dtype=values.dtype)
    return jnp.einsum("sbft,sbc->bcft", values, taken)
