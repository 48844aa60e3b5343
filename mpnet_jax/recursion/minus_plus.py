"""The recursion: separate the loudest sound, give it back what earlier sounds took, subtract it, go on with the rest.

One pure `lax.scan` over steps. It takes callables and knows no network, so an oracle can test it.
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


@dataclasses.dataclass(frozen=True)
class Rules:
    """What the paper leaves open, and what the released code does otherwise.

    Attributes:
        mask_on: what a mask acts on, and what its target is a share of: "remaining", the mixture that the step sees
            (Eqs. 2 and 3), or "original", the whole mixture (Sec. 3.2 writes S^mix).
        subtraction: "difference", max(S - sound, 0) (Eq. 3), or "product", S * (1 - mask) (released code).
        subtracted: of each step: "solo", what the Minus-Net's mask takes (Eq. 3), or "final", with what the Plus-Net
            gives back too. That was subtracted with an earlier sound already: a second time it is missing later on.
        energy: by which the next sound is chosen where no order is given.
        floor: linear magnitude added to what each subtraction leaves (1e-10 in the released code, whose logarithm adds
            nothing).
        epsilon_relative: a step is active while mean(S_{i-1}) exceeds this share of mean(S_0); None leaves all active
            while a candidate is open.
        epsilon_absolute: and exceeds this linear magnitude; looked at only where `epsilon_relative` is given.

    Raises:
        ValueError: an unknown word.
    """

    mask_on: str = "remaining"
    subtraction: str = "difference"
    subtracted: str = "solo"
    energy: EnergyFn = mean_magnitude
    floor: float = 0.0
    epsilon_relative: float | None = None
    epsilon_absolute: float = 0.0

    def __post_init__(self) -> None:
        for field, allowed in (
            ("mask_on", MASK_ON),
            ("subtraction", SUBTRACTION),
            ("subtracted", SUBTRACTED),
        ):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field}={getattr(self, field)!r} is unknown; use one of {', '.join(allowed)}")

    def reference(self, before: Array, mixture: Array) -> Array:
        """What a mask acts on, of the mixture that a step sees and the whole one; shapes broadcast."""
        return jnp.broadcast_arrays(before, mixture)[0 if self.mask_on == "remaining" else 1]


class Networks(NamedTuple):
    """The two networks as functions of linear magnitudes.

    Attributes:
        minus: (remaining mixture, one step's statistics) -> (feature maps (batch, freq, time, k), statistics to keep).
        plus: (what was separated before, this step's sound, one step's statistics) -> (logits (batch, freq, time),
            statistics to keep); None for the Minus-Net alone.
        statistics: {"minus": tree whose leaves have a leading axis of steps, "plus": of steps - 1, or empty}.
    """

    minus: Callable[[Array, Any], tuple[Array, Any]]
    plus: Callable[[Array, Array, Any], tuple[Array, Any]] | None = None
    statistics: Any = ()


class Separation(NamedTuple):
    """Every step of the recursion; an inactive step is silent: logits of minus infinity, a mask of zero.

    Attributes:
        mask_logits: of the chosen candidate's mask M, before the sigmoid.
        plus_logits: of the Plus-Net's mask M_r; minus infinity in the first step too, which has nothing to take back,
            and where there is no Plus-Net.
        before: the remaining mixture that each step saw, S_{i-1}.
        remixes: what M_r acted on: the sum of the sounds before; zero where inactive.
        sounds: the separated sound of each step, with what the Plus-Net gave back.
        chosen: the candidate that each step took; -1 where inactive.
        active: whether the step still found sound and an open candidate, sample by sample.
        energies: of every candidate's sound at each step; only where the order is predicted, else zeros.
        remaining: what is left after the last step, S_n.
        statistics: what the networks returned, stacked as they were given.
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
        """M of each step; zero where the step was inactive."""
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
    """Separates a mixture into one sound a step, in descending order of energy.

    Args:
        mixture: linear magnitudes on the network's frequency axis, S_0.
        candidates: clips, or places of a picture.
        networks: with their statistics.
        steps: greatest number of sounds.
        rules: what a mask acts on, what is subtracted, when it ends.
        order: candidate to take at each step (in training: ground-truth energy); None takes the one of greatest
            predicted energy that is not closed yet.
        unroll: write the loop out. On a CPU convolution gradients inside a rolled loop are many times slower.
        skip_finished: run no network in a step in which no sample is active (evaluation only: a branch has no
            batch statistics to keep).

    Returns:
        All steps; see `Separation`. Source: Sec. 3.2 and 3.3, Eqs. 2 to 7, 9 and 10.

    Raises:
        ValueError: more steps than candidates.
    """
    batch, count = candidates.vectors.shape[:2]
    if steps > count:
        raise ValueError(f"steps={steps} must be at most the number of candidates, {count}")
    recursion = _Recursion(mixture, candidates, networks, rules, order is None, skip_finished)
    carry = _Carry(mixture, jnp.zeros_like(mixture), jnp.zeros((batch, count), bool))
    given = jnp.zeros((steps, batch), jnp.int32) if order is None else order.T[:steps]
    inputs = {"minus": networks.statistics["minus"], "order": given}
    if networks.plus is None:
        step = functools.partial(recursion.step, with_plus=False)
        carry, out = _scan(step, carry, inputs, length=steps, unroll=unroll)
        statistics = {"minus": out.pop("minus")}
    else:
        # The first step has nothing to take back: it stands before the loop, and the Plus-Net is not run.
        carry, first = recursion.step(carry, jax.tree.map(lambda x: x[0], inputs), with_plus=False)
        later = jax.tree.map(lambda x: x[1:], inputs) | {"plus": networks.statistics["plus"]}
        step = functools.partial(recursion.step, with_plus=True)
        carry, out = _scan(step, carry, later, length=steps - 1, unroll=unroll)
        statistics = {"plus": out.pop("plus")}
        out = jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), first, out)
        statistics["minus"] = out.pop("minus")
    return Separation(**out, remaining=carry.remaining, statistics=statistics)


def _scan(step: Callable[..., Any], carry: Any, inputs: Any, *, length: int, unroll: bool) -> tuple[Any, Any]:
    """`lax.scan`, which makes a loop even of one step that it is told to write out."""
    if unroll and length == 1:
        carry, out = step(carry, jax.tree.map(lambda x: x[0], inputs))
        return carry, jax.tree.map(lambda x: x[None], out)
    return jax.lax.scan(step, carry, inputs, length=length, unroll=unroll)


class _Carry(NamedTuple):
    """What a step hands to the next: the rest, the sum of the sounds so far, the candidates that are closed."""

    remaining: Array
    heard: Array
    closed: Array


@dataclasses.dataclass(frozen=True)
class _Recursion:
    """What all steps share."""

    mixture: Array
    candidates: Candidates
    networks: Networks
    rules: Rules
    order_is_predicted: bool
    skip_finished: bool

    def step(self, carry: _Carry, inputs: dict[str, Any], *, with_plus: bool) -> tuple[_Carry, dict[str, Any]]:
        """One sound; `inputs` holds the step's statistics and the given order."""
        separate_one = functools.partial(self._separate_one, carry, inputs, with_plus=with_plus)
        active = self._is_active(carry)
        if self.skip_finished:
            shapes = jax.eval_shape(separate_one)
            nothing = functools.partial(jax.tree.map, lambda x: jnp.zeros(x.shape, x.dtype), shapes)
            out = jax.lax.cond(jnp.any(active), separate_one, nothing)
        else:
            out = separate_one()
        # An inactive sample's outputs are the same whether or not others of its batch are active.
        for name, silent in (("sounds", 0), ("remixes", 0), ("mask_logits", -jnp.inf), ("plus_logits", -jnp.inf)):
            out[name] = jnp.where(active[:, None, None], out[name], silent)
        out["energies"] = jnp.where(active[:, None], out["energies"], 0)
        taken, share = (jnp.where(active[:, None, None], out.pop(name), 0) for name in ("taken", "share"))
        remaining = subtract(carry.remaining, taken, share, how=self.rules.subtraction)
        following = _Carry(
            remaining=remaining + self.rules.floor if self.rules.floor else remaining,
            heard=carry.heard + out["sounds"],
            closed=carry.closed | (closes(self.candidates, out["chosen"]) & active[:, None]),
        )
        chosen = jnp.where(active, out["chosen"], -1)
        return following, out | {"chosen": chosen, "before": carry.remaining, "active": active}

    def _is_active(self, carry: _Carry) -> Bool[Array, " batch"]:
        loudness = jnp.mean(self.mixture, (1, 2))
        active = ~jnp.all(carry.closed, axis=1) if self.order_is_predicted else jnp.ones_like(loudness, bool)
        if self.rules.epsilon_relative is None:
            return active
        threshold = jnp.maximum(self.rules.epsilon_relative * loudness, self.rules.epsilon_absolute)
        return active & (jnp.mean(carry.remaining, (1, 2)) > threshold)

    def _separate_one(self, carry: _Carry, inputs: dict[str, Any], *, with_plus: bool) -> dict[str, Any]:
        """Runs the networks: the outputs of a step in which at least one sample is active."""
        features, statistics = self.networks.minus(carry.remaining, inputs["minus"])
        out: dict[str, Any] = {"minus": statistics}
        if self.order_is_predicted:
            out["energies"] = candidate_energies(features, self.candidates, carry.remaining, self.rules.energy)
            still_open = jnp.where(carry.closed, -jnp.inf, out["energies"])
            out["chosen"] = jnp.argmax(still_open, axis=1).astype(jnp.int32)
        else:
            out["energies"] = jnp.zeros(carry.closed.shape, features.dtype)
            out["chosen"] = inputs["order"]
        vector = jnp.take_along_axis(self.candidates.vectors, out["chosen"][:, None, None], axis=1)[:, 0]
        out["mask_logits"] = jnp.einsum("bftk,bk->bft", features, vector)
        reference = self.rules.reference(carry.remaining, self.mixture)
        share = jax.nn.sigmoid(out["mask_logits"])
        sound = taken = share * reference
        on_original = self.rules.mask_on == "original"
        remix = jnp.minimum(carry.heard, self.mixture) if on_original else carry.heard
        out["plus_logits"] = jnp.full_like(sound, -jnp.inf)
        if with_plus:
            assert self.networks.plus is not None
            out["plus_logits"], out["plus"] = self.networks.plus(remix, sound, inputs["plus"])
            sound += jax.nn.sigmoid(out["plus_logits"]) * remix
            sound = jnp.minimum(sound, self.mixture) if on_original else sound
            if self.rules.subtracted == "final":
                taken, there = sound, reference > 0
                share = jnp.minimum(jnp.where(there, taken / jnp.where(there, reference, 1.0), 0.0), 1.0)
        return out | {"sounds": sound, "taken": taken, "share": share, "remixes": remix}


def subtract(
    mixture: Float[Array, "batch freq time"],
    sound: Float[Array, "batch freq time"],
    share: Float[Array, "batch freq time"],
    *,
    how: str,
) -> Float[Array, "batch freq time"]:
    """Takes a separated sound out of the mixture (linear magnitudes, never below zero).

    Args:
        mixture: what is left so far.
        sound: what was separated.
        share: how much that is of what its mask acted on, in [0, 1].
        how: "difference" (Eq. 3) or "product" (released code).
    """
    if how == "difference":
        return jnp.maximum(mixture - sound, 0.0)
    return mixture - mixture * share


def energy_order(
    sources: Float[Array, "batch source freq time"], energy: EnergyFn = mean_magnitude
) -> Int[Array, "batch source"]:
    """Sources in descending energy. Source: Sec. 4.2 (training takes the ground truth's order)."""
    alone = sources.reshape(-1, *sources.shape[2:])
    energies = energy(jnp.ones_like(alone)[:, None], alone)
    return jnp.argsort(-energies.reshape(sources.shape[:2]), axis=1)


def by_candidate(
    values: Float[Array, "step batch freq time"], chosen: Int[Array, "step batch"], candidates: int
) -> Float[Array, "batch candidate freq time"]:
    """Sorts the steps' maps by the candidate that each took; zero where none took it."""
    taken = jax.nn.one_hot(chosen, candidates, dtype=values.dtype)
    return jnp.einsum("sbft,sbc->bcft", values, taken)
