"""Completes sounds with the Plus-Net, and keeps the sounds that were separated so far. Source: Sec. 3.3."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun
from jaxtyping import Array, Bool, Float, Int

from mpnet_jax.recursion.candidates import Candidates, vectors_of
from mpnet_jax.recursion.rules import Rules


class PlusInputs(NamedTuple):
    """Inputs from which a Plus-Net completes a sound: linear magnitudes, and the visual vector of the sound.

    Attributes:
        remix: What its mask M_r acts on: the sum of other sounds, or all of the mixture but this sound; see
            `Rules.plus_source`.
        sound: The sound that is completed.
        remaining: Remaining mixture, without the sound.
        mixture: Whole mixture, S_0.
        vectors: Visual vector of the sound's candidate.
    """

    remix: Float[Array, "batch freq time"]
    sound: Float[Array, "batch freq time"]
    remaining: Float[Array, "batch freq time"]
    mixture: Float[Array, "batch freq time"]
    vectors: Float[Array, "batch k"]


# (inputs, running statistics of one call) -> (logits of M_r (batch, freq, time), new running statistics)
PlusFn = Callable[[PlusInputs, Any], tuple[Array, Any]]


class SumOfSounds(NamedTuple):
    """The sounds so far as their sum, which is enough for a recursion that never changes an earlier sound."""

    remix: Float[Array, "batch freq time"]

    def without(self, moved: Float[Array, "batch freq time"]) -> "SumOfSounds":
        """Returns the sum unchanged: a part that is added to a new sound also stays in the earlier ones (Eq. 9)."""
        del moved
        return self

    def including(self, index: Array, sound: Float[Array, "batch freq time"]) -> "SumOfSounds":
        """Returns the sum with a further sound."""
        del index
        return SumOfSounds(self.remix + sound)


class EverySound(NamedTuple):
    """The sounds so far, one by one, for a recursion that removes moved parts from them; zero before their steps."""

    sounds: Float[Array, "step batch freq time"]

    @property
    def remix(self) -> Float[Array, "batch freq time"]:
        """The sum of all sounds so far."""
        return jnp.sum(self.sounds, axis=0)

    def others(self, index: Int[Array, ""]) -> Float[Array, "batch freq time"]:
        """Returns the sum of all sounds but one; no difference of sums, which could fall below zero."""
        other = jnp.arange(len(self.sounds)) != index
        return jnp.sum(jnp.where(other[:, None, None, None], self.sounds, 0), axis=0)

    def without(self, moved: Float[Array, "batch freq time"]) -> "EverySound":
        """Returns the sounds after a share of every bin was moved away from all of them.

        All sounds lose the same share of what they hold, so each gives in proportion to it.
        """
        return EverySound(self.sounds * (1.0 - moved))

    def including(self, index: Array, sound: Float[Array, "batch freq time"]) -> "EverySound":
        """Returns the sounds with that of a step in its place."""
        return EverySound(self.sounds.at[index].set(sound))


def no_sounds(mixture: Float[Array, "batch freq time"], rules: Rules, steps: int) -> SumOfSounds | EverySound:
    """Returns the sounds before the first step: none, or silent ones."""
    if rules.plus_conserves:
        return EverySound(jnp.zeros((steps, *mixture.shape), mixture.dtype))
    return SumOfSounds(jnp.zeros_like(mixture))


def source(remix: Array, sound: Array, mixture: Array, rules: Rules) -> Array:
    """Returns the spectrogram that M_r acts on; all arguments are (batch, freq, time).

    Args:
        remix: Sum of the other sounds.
        sound: Sound that is completed.
        mixture: Whole mixture.
        rules: Rules of the recursion.
    """
    if rules.plus_source == "others":
        return jnp.maximum(mixture - sound, 0.0)
    # Sounds that were masked from the original mixture overlap, so their sum is limited to that mixture.
    return jnp.minimum(remix, mixture) if rules.mask_on == "original" else remix


def silenced(values: Array, active: Bool[Array, " batch"], silent: float) -> Array:
    """Returns (batch, freq, time) values with fixed ones where a sample is inactive.

    An inactive sample must not depend on the other samples of its batch.
    """
    return jnp.where(active[:, None, None], values, silent)


def where_any(active: Bool[Array, " batch"], function: Callable[[], Any], *, skip: bool) -> Any:
    """Returns what a function computes; with `skip`, zeros without a call of it where no sample is active."""
    if not skip:
        return function()
    # Traced once; the branches and the shapes of the zeros both come from this.
    traced, shapes = jax.make_jaxpr(function, return_shape=True)()
    run, structure = jaxpr_as_fun(traced), jax.tree.structure(shapes)
    return jax.lax.cond(
        jnp.any(active),
        lambda: jax.tree.unflatten(structure, run()),
        lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes),
    )


class Parts(NamedTuple):
    """A mixture in parts: the sounds (step, batch, freq, time) and the remaining mixture (batch, freq, time)."""

    so_far: EverySound
    remaining: Array


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Completes each sound once more, from the sounds of all steps, in the order of the steps.

    The first sounds are then completed from the later ones, too, which their own steps could not know. A sweep is a
    scan of its own and no further step of the recursion, because it runs no Minus-Net: nothing new is separated, and a
    step that runs one network costs half as much. The sounds are completed one after the other and not all at once,
    so that no part is moved to two of them. Where M_r is zero nothing moves, so a sweep over complete sounds changes
    none.
    """

    mixture: Array
    candidates: Candidates
    plus: PlusFn
    rules: Rules
    skip_finished: bool

    def step(self, parts: Parts, inputs: dict[str, Any]) -> tuple[Parts, dict[str, Any]]:
        """Completes one sound.

        Args:
            parts: The mixture in parts.
            inputs: Of one sound its `index`, the candidate that was `chosen` for it, where it is `active`, and the
                running statistics of the call, `plus`.

        Returns:
            The parts with what was moved, and the outputs of the call; see `Separation`.
        """
        so_far, active = parts.so_far, inputs["active"]
        sound = so_far.sounds[inputs["index"]]
        remix = source(so_far.others(inputs["index"]), sound, self.mixture, self.rules)
        vectors = vectors_of(self.candidates, inputs["chosen"])
        given = PlusInputs(remix, sound, parts.remaining, self.mixture, vectors)
        logits, statistics = where_any(active, lambda: self.plus(given, inputs["plus"]), skip=self.skip_finished)
        logits = silenced(logits, active, -jnp.inf)
        moved = jax.nn.sigmoid(logits)
        whole = so_far.without(moved).including(inputs["index"], sound + moved * remix)
        out = {"plus_logits": logits, "remixes": silenced(remix, active, 0.0), "incomplete": sound, "plus": statistics}
        return Parts(whole, left_over(parts.remaining, moved, self.rules)), out


def left_over(remaining: Array, moved: Array, rules: Rules) -> Array:
    """Returns the remaining mixture after a share of every bin of the Plus-Net's source was moved to a sound."""
    if rules.plus_conserves and rules.plus_source == "others":
        return remaining * (1.0 - moved)
    return remaining


class Replayed(NamedTuple):
    """What the calls of a Plus-Net do with other masks than the recursion's own; see `replayed`.

    Attributes:
        sounds: The complete sounds.
        incomplete: The sound that each call completes.
        sources: The spectrogram that each call's M_r acts on.
    """

    sounds: Float[Array, "step batch freq time"]
    incomplete: Float[Array, "call batch freq time"]
    sources: Float[Array, "call batch freq time"]


def replayed(
    parts: Float[Array, "step batch freq time"],
    moved: Float[Array, "call batch freq time"],
    remixes: Float[Array, "call batch freq time"],
    mixture: Float[Array, "#batch #freq #time"],
    *,
    rules: Rules,
) -> Replayed:
    """Applies the masks of a recursion again, for example thresholded ones, without its networks.

    Args:
        parts: What the Minus-Net's masks take in each step.
        moved: The Plus-Net's masks M_r, zero where it is not run.
        remixes: What they act on in the recursion. It is used where the Plus-Net takes nothing away, as M_r then acts
            on soft sounds whatever is done with its result. Otherwise M_r acts on what is left of the parts.
        mixture: Whole mixture; 1 where all arrays are shares of it.
        rules: Rules of the recursion.
    """
    if not rules.plus_conserves:
        return Replayed(parts + moved * remixes, parts, remixes)
    so_far, steps = EverySound(jnp.zeros_like(parts)), len(parts)
    incomplete, sources = [], []
    for call, share in enumerate(moved):
        index = jnp.asarray(call % steps)
        sound = parts[call] if call < steps else so_far.sounds[call % steps]
        taken = source(so_far.others(index), sound, mixture, rules)
        so_far = so_far.without(share).including(index, sound + share * taken)
        incomplete.append(sound)
        sources.append(taken)
    return Replayed(so_far.sounds, jnp.stack(incomplete), jnp.stack(sources))
