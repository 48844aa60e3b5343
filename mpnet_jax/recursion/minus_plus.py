"""The recursion of MP-Net: separate the loudest sound, complete it from earlier sounds, subtract it, and repeat.

It is one pure `lax.scan` over steps. It receives the networks as functions and imports none, so that a test can replace
them by an oracle. Source: Sec. 3.2 and 3.3.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mpnet_jax.recursion.candidates import Candidates, EnergyFn, candidate_energies, closes, mean_magnitude

EPSILON = 1e-6
MASK_ON = ("remaining", "original")
SUBTRACTION = ("difference", "product")
SUBTRACTED = ("solo", "final")
REMAINDERS = ("mean", "rms")


@dataclasses.dataclass(frozen=True)
class Rules:
    """Choices that the paper leaves open or that the released code makes differently.

    Attributes:
        mask_on: Spectrogram that a mask is multiplied with, and that its target is relative to: "remaining" for the
            remaining mixture of the step (Eqs. 2 and 3), or "original" for the whole mixture (Sec. 3.2 writes S^mix).
        subtraction: "difference" for max(S - sound, 0) (Eq. 3), or "product" for S * (1 - mask) (released code).
        subtracted: Sound that each step subtracts: "solo" for the Minus-Net's estimate (Eq. 3), or "final" for the
            estimate completed by the Plus-Net. The Plus-Net adds parts that were subtracted with an earlier sound
            already, so "final" subtracts them twice.
        energy: Energy by which the next sound is chosen where no order is given.
        floor: Linear magnitude added to the remaining mixture after each subtraction (1e-10 in the released code,
            whose logarithm has no epsilon).
        remainder: Measure of how much of the mixture remains, by which the recursion ends: the "mean" magnitude, or
            "rms" for the root of the mean square. Parts that no mask took lie in many places and are faint, a further
            sound lies in few and is loud there, so "rms" tells them apart better.
        epsilon_relative: A step is active while S_{i-1} amounts to more than this share of S_0. None keeps every step
            active while a candidate is open.
        epsilon_absolute: A step is active while S_{i-1} also amounts to more than this linear magnitude; ignored where
            `epsilon_relative` is None.

    Raises:
        ValueError: A choice is unknown.
    """

    mask_on: str = "remaining"
    subtraction: str = "difference"
    subtracted: str = "solo"
    energy: EnergyFn = mean_magnitude
    floor: float = 0.0
    remainder: str = "mean"
    epsilon_relative: float | None = None
    epsilon_absolute: float = 0.0

    def __post_init__(self) -> None:
        for field, allowed in (
            ("mask_on", MASK_ON),
            ("subtraction", SUBTRACTION),
            ("subtracted", SUBTRACTED),
            ("remainder", REMAINDERS),
        ):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field}={getattr(self, field)!r} is unknown; use one of {', '.join(allowed)}")

    def amount(self, mixture: Float[Array, "*batch freq time"]) -> Float[Array, "*batch"]:
        """Returns how much there is of a linear spectrogram, by the measure `remainder`."""
        if self.remainder == "mean":
            return jnp.mean(mixture, (-2, -1))
        return jnp.sqrt(jnp.mean(jnp.square(mixture), (-2, -1)))

    def reference(self, before: Array, mixture: Array) -> Array:
        """Returns the spectrogram that a mask acts on: the remaining mixture `before` a step, or the whole mixture."""
        return jnp.broadcast_arrays(before, mixture)[0 if self.mask_on == "remaining" else 1]


class Networks(NamedTuple):
    """The two networks as functions of linear magnitudes.

    Attributes:
        minus: Maps (remaining mixture (batch, freq, time), running statistics of one step) to (feature maps (batch,
            freq, time, k), new running statistics).
        plus: Maps (remix of the earlier sounds, the step's sound, running statistics of one step) to (logits (batch,
            freq, time), new running statistics); None for the Minus-Net alone.
        statistics: {"minus": tree whose leaves have a leading axis of steps, "plus": the same with steps - 1}.
        mask: Maps (remaining mixture, vectors of one candidate (batch, k), running statistics of one step) to (logits
            of its mask (batch, freq, time), new running statistics), where a given order says which candidate comes.
            None weights the feature maps of `minus`, which gives the same logits.
    """

    minus: Callable[[Array, Any], tuple[Array, Any]]
    plus: Callable[[Array, Array, Any], tuple[Array, Any]] | None = None
    statistics: Any = ()
    mask: Callable[[Array, Array, Any], tuple[Array, Any]] | None = None


class Separation(NamedTuple):
    """The results of all steps; an inactive step is silent (logits of minus infinity, a mask of zero).

    Attributes:
        mask_logits: Logits of the mask M of the chosen candidate.
        plus_logits: Logits of the Plus-Net's mask M_r. Minus infinity where the Plus-Net is not run: in the first step,
            and without one.
        before: Remaining mixture before each step, S_{i-1}.
        remixes: Sum of the earlier sounds, which M_r acts on; zero where inactive.
        sounds: Separated sound of each step, completed by the Plus-Net.
        chosen: Index of the candidate that each step took; -1 where inactive.
        active: Whether the step had sound to separate and an open candidate, by sample.
        energies: Energy of every candidate's sound at each step where the order is predicted, else zeros.
        remaining: Remaining mixture after the last step, S_n.
        statistics: Running statistics that the networks returned, stacked like `Networks.statistics`.
    """

    mask_logits: Float[Array, "step batch freq time"]
    plus_logits: Float[Array, "step batch freq time"]
    before: Float[Array, "step batch freq time"]
    remixes: Float[Array, "step batch freq time"]
    sounds: Float[Array, "step batch freq time"]
    chosen: Int[Array, "step batch"]
    active: Bool[Array, "step batch"]
    energies: Float[Array, "step batch candidate"]
    remaining: Float[Array, "batch freq time"]
    statistics: Any

    @property
    def masks(self) -> Float[Array, "step batch freq time"]:
        """Masks M of all steps; zero where a step is inactive."""
        return jax.nn.sigmoid(self.mask_logits)


def minus_plus(
    mixture: Float[Array, "batch freq time"],
    candidates: Candidates,
    networks: Networks,
    *,
    steps: int,
    rules: Rules = Rules(),
    order: Int[Array, "batch step"] | None = None,
    unroll: bool = False,
    skip_finished: bool = False,
) -> Separation:
    """Separates a mixture into one sound per step, in descending order of energy.

    Args:
        mixture: Linear magnitudes on the networks' frequency axis, S_0.
        candidates: Visual vectors that the sounds may belong to: of clips, or of the places of a picture.
        networks: The Minus-Net and the Plus-Net, with their running statistics.
        steps: Greatest number of sounds.
        rules: What a mask acts on, what is subtracted, and when the recursion ends.
        order: Candidate to take at each step (in training by ground-truth energy). None takes the open candidate whose
            sound has the greatest predicted energy.
        unroll: Whether to unroll the loop. On a CPU, gradients of convolutions in a rolled loop are many times slower.
        skip_finished: Whether to run no network in a step in which no sample is active. For evaluation only, since the
            branch that runs no network has no batch statistics to return.

    Returns:
        The results of all steps. Source: Eqs. 2 to 7, 9 and 10.

    Raises:
        ValueError: There are more steps than candidates.
    """
    batch, count = candidates.vectors.shape[:2]
    if steps > count:
        raise ValueError(f"steps={steps} must be at most the number of candidates, {count}")
    recursion = _Recursion(mixture, candidates, networks, rules, order is None, skip_finished)
    carry = _Carry(mixture, jnp.zeros_like(mixture), jnp.zeros((batch, count), bool))
    given = jnp.zeros((steps, batch), jnp.int32) if order is None else order.T[:steps]  # (step, batch)
    inputs = {"minus": networks.statistics["minus"], "order": given}
    if networks.plus is None:
        step = functools.partial(recursion.step, with_plus=False)
        carry, out = _scan(step, carry, inputs, length=steps, unroll=unroll)
        statistics = {"minus": out.pop("minus")}
    else:
        # No sound comes before the first step, so that step runs no Plus-Net and stands outside the loop.
        carry, first = recursion.step(carry, jax.tree.map(lambda x: x[0], inputs), with_plus=False)
        later = jax.tree.map(lambda x: x[1:], inputs) | {"plus": networks.statistics["plus"]}
        step = functools.partial(recursion.step, with_plus=True)
        carry, out = _scan(step, carry, later, length=steps - 1, unroll=unroll)
        statistics = {"plus": out.pop("plus")}
        # One step (batch, ...) and the others (step - 1, batch, ...) become (step, batch, ...).
        out = jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), first, out)
        statistics["minus"] = out.pop("minus")
    return Separation(**out, remaining=carry.remaining, statistics=statistics)


def _scan(step: Callable[..., Any], carry: Any, inputs: Any, *, length: int, unroll: bool) -> tuple[Any, Any]:
    """Calls `lax.scan`, or the step itself for an unrolled loop of one step, which `lax.scan` would not unroll."""
    if unroll and length == 1:
        carry, out = step(carry, jax.tree.map(lambda x: x[0], inputs))
        return carry, jax.tree.map(lambda x: x[None], out)
    return jax.lax.scan(step, carry, inputs, length=length, unroll=unroll)


class _Carry(NamedTuple):
    """State between two steps: the remaining mixture, the sum of the earlier sounds, and the closed candidates."""

    remaining: Array  # (batch, freq, time)
    earlier_sounds: Array  # (batch, freq, time)
    closed: Array  # (batch, candidate)


@dataclasses.dataclass(frozen=True)
class _Recursion:
    """The step of the recursion, with the arguments that all steps share."""

    mixture: Array
    candidates: Candidates
    networks: Networks
    rules: Rules
    order_is_predicted: bool
    skip_finished: bool

    def step(self, carry: _Carry, inputs: dict[str, Any], *, with_plus: bool) -> tuple[_Carry, dict[str, Any]]:
        """Separates and subtracts one sound; `inputs` holds the running statistics and the given order of the step."""
        separate_one = functools.partial(self._separate_one, carry, inputs, with_plus=with_plus)
        active = self._is_active(carry)
        if self.skip_finished:
            shapes = jax.eval_shape(separate_one)
            nothing = functools.partial(jax.tree.map, lambda x: jnp.zeros(x.shape, x.dtype), shapes)
            out = jax.lax.cond(jnp.any(active), separate_one, nothing)
        else:
            out = separate_one()
        # Inactive samples get fixed outputs, which must not depend on the other samples of the batch.
        for name, silent in (("sounds", 0), ("remixes", 0), ("mask_logits", -jnp.inf), ("plus_logits", -jnp.inf)):
            out[name] = jnp.where(active[:, None, None], out[name], silent)
        out["energies"] = jnp.where(active[:, None], out["energies"], 0)
        # An inactive sample subtracts nothing and closes no candidate.
        taken, share = (jnp.where(active[:, None, None], out.pop(name), 0) for name in ("taken", "share"))
        remaining = subtract(carry.remaining, taken, share, how=self.rules.subtraction)
        following = _Carry(
            remaining=remaining + self.rules.floor if self.rules.floor else remaining,
            earlier_sounds=carry.earlier_sounds + out["sounds"],
            closed=carry.closed | (closes(self.candidates, out["chosen"]) & active[:, None]),
        )
        chosen = jnp.where(active, out["chosen"], -1)
        return following, out | {"chosen": chosen, "before": carry.remaining, "active": active}

    def _is_active(self, carry: _Carry) -> Bool[Array, " batch"]:
        amount = self.rules.amount(self.mixture)
        active = ~jnp.all(carry.closed, axis=1) if self.order_is_predicted else jnp.ones_like(amount, bool)
        if self.rules.epsilon_relative is None:
            return active
        threshold = jnp.maximum(self.rules.epsilon_relative * amount, self.rules.epsilon_absolute)
        return active & (self.rules.amount(carry.remaining) > threshold)

    def _chosen_mask(self, carry: _Carry, inputs: dict[str, Any]) -> dict[str, Any]:
        """Chooses a candidate for every sample and returns the logits of its mask."""
        if not self.order_is_predicted and self.networks.mask is not None:
            chosen = inputs["order"]
            logits, statistics = self.networks.mask(carry.remaining, self._vector(chosen), inputs["minus"])
            energies = jnp.zeros(carry.closed.shape, logits.dtype)
            return {"minus": statistics, "energies": energies, "chosen": chosen, "mask_logits": logits}
        features, statistics = self.networks.minus(carry.remaining, inputs["minus"])  # (batch, freq, time, k)
        if self.order_is_predicted:
            # Eq. 7: the loudest sound comes first, and each candidate is taken once. Both are (batch, candidate).
            energies = candidate_energies(features, self.candidates, carry.remaining, self.rules.energy)
            still_open = jnp.where(carry.closed, -jnp.inf, energies)
            chosen = jnp.argmax(still_open, axis=1).astype(jnp.int32)
        else:
            energies = jnp.zeros(carry.closed.shape, features.dtype)
            chosen = inputs["order"]
        # Eq. 2: the mask is the feature maps weighted by the visual vector of the chosen candidate.
        logits = jnp.einsum("bftk,bk->bft", features, self._vector(chosen))
        return {"minus": statistics, "energies": energies, "chosen": chosen, "mask_logits": logits}

    def _vector(self, chosen: Int[Array, " batch"]) -> Float[Array, "batch k"]:
        return jnp.take_along_axis(self.candidates.vectors, chosen[:, None, None], axis=1)[:, 0]

    def _separate_one(self, carry: _Carry, inputs: dict[str, Any], *, with_plus: bool) -> dict[str, Any]:
        """Runs the networks for every sample; returns the outputs of the step and what it subtracts."""
        out = self._chosen_mask(carry, inputs)
        reference = self.rules.reference(carry.remaining, self.mixture)
        share = jax.nn.sigmoid(out["mask_logits"])
        sound = taken = share * reference
        on_original = self.rules.mask_on == "original"
        # Sounds that were masked from the original mixture overlap, so their sum is limited to that mixture.
        remix = jnp.minimum(carry.earlier_sounds, self.mixture) if on_original else carry.earlier_sounds
        out["plus_logits"] = jnp.full_like(sound, -jnp.inf)
        if with_plus:
            assert self.networks.plus is not None
            # Eqs. 9 and 10: the Plus-Net adds to the sound what earlier sounds took of it.
            out["plus_logits"], out["plus"] = self.networks.plus(remix, sound, inputs["plus"])
            sound += jax.nn.sigmoid(out["plus_logits"]) * remix
            sound = jnp.minimum(sound, self.mixture) if on_original else sound
            if self.rules.subtracted == "final":
                # The inner `where` keeps the division, and so its gradient, finite in silent bins.
                taken, audible = sound, reference > 0
                share = jnp.minimum(jnp.where(audible, taken / jnp.where(audible, reference, 1.0), 0.0), 1.0)
        return out | {"sounds": sound, "taken": taken, "share": share, "remixes": remix}


def subtract(
    mixture: Float[Array, "batch freq time"],
    sound: Float[Array, "batch freq time"],
    share: Float[Array, "batch freq time"],
    *,
    how: str,
) -> Float[Array, "batch freq time"]:
    """Subtracts a separated sound from the remaining mixture (linear magnitudes, never below zero).

    Args:
        mixture: Remaining mixture.
        sound: Separated sound.
        share: Share of the sound in the spectrogram that its mask acted on, in [0, 1].
        how: "difference" (Eq. 3) or "product" (released code).
    """
    if how == "difference":
        return jnp.maximum(mixture - sound, 0.0)
    return mixture - mixture * share


def energy_order(
    sources: Float[Array, "batch source freq time"], energy: EnergyFn = mean_magnitude
) -> Int[Array, "batch source"]:
    """Returns the sources in descending order of energy. Source: Sec. 4.2 (training takes the true order)."""
    alone = sources.reshape(-1, *sources.shape[2:])  # (batch * source, freq, time)
    energies = energy(jnp.ones_like(alone)[:, None], alone)  # a mask of ones for the single candidate
    return jnp.argsort(-energies.reshape(sources.shape[:2]), axis=1)


def by_candidate(
    values: Float[Array, "step batch freq time"], chosen: Int[Array, "step batch"], candidates: int
) -> Float[Array, "batch candidate freq time"]:
    """Sorts the maps of the steps by the candidate that each step took; zero for a candidate that no step took."""
    # (step, batch, candidate); the -1 of an inactive step becomes a row of zeros.
    taken = jax.nn.one_hot(chosen, candidates, dtype=values.dtype)
    return jnp.einsum("sbft,sbc->bcft", values, taken)
