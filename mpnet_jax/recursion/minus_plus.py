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

from mpnet_jax.recursion.candidates import (
    Candidates,
    EnergyFn,
    candidate_energies,
    closes,
    mean_magnitude,
    preferred,
    vectors_of,
)
from mpnet_jax.recursion.completion import (
    EverySound,
    Parts,
    PlusInputs,
    SumOfSounds,
    Sweep,
    left_over,
    no_sounds,
    silenced,
    source,
    where_any,
)
from mpnet_jax.recursion.rules import PAPER, Rules
from mpnet_jax.recursion.separation import Networks, Separation


class Loop(NamedTuple):
    """How the steps of the recursion are run; the results are the same.

    Attributes:
        unroll: Whether to unroll the loop. On a CPU, gradients of convolutions in a rolled loop are many times slower.
        recompute: Whether gradients run the networks of each step again instead of keeping their activations
            (`jax.checkpoint`). docs/BENCHMARKS.md says what was measured.
    """

    unroll: bool = False
    recompute: bool = False


PLAIN_LOOP = Loop()


def minus_plus(
    mixture: Float[Array, "batch freq time"],
    candidates: Candidates,
    networks: Networks,
    *,
    steps: int,
    rules: Rules = PAPER,
    order: Int[Array, "batch step"] | None = None,
    loop: Loop = PLAIN_LOOP,
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
        loop: How the steps are run.
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
    carry = _Carry(mixture, no_sounds(mixture, rules, steps), jnp.zeros((batch, count), bool))
    given = jnp.zeros((steps, batch), jnp.int32) if order is None else order.T[:steps]  # (step, batch)
    inputs = {"minus": networks.statistics["minus"], "order": given, "index": jnp.arange(steps)}
    if networks.plus is None:
        step = _checkpointed(functools.partial(recursion.step, with_plus=False), recompute=loop.recompute)
        carry, out = _scan(step, carry, inputs, length=steps, unroll=loop.unroll)
    else:
        # No sound comes before the first step, so that step runs no Plus-Net and stands outside the loop.
        step = _checkpointed(functools.partial(recursion.step, with_plus=False), recompute=loop.recompute)
        carry, first = step(carry, jax.tree.map(lambda x: x[0], inputs))
        of_steps = jax.tree.map(lambda x: x[: steps - 1], networks.statistics["plus"])
        later = jax.tree.map(lambda x: x[1:], inputs) | {"plus": of_steps}
        step = _checkpointed(functools.partial(recursion.step, with_plus=True), recompute=loop.recompute)
        carry, out = _scan(step, carry, later, length=steps - 1, unroll=loop.unroll)
        plus = out.pop("plus")
        # One step (batch, ...) and the others (step - 1, batch, ...) become (step, batch, ...).
        out = jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), first, out) | {"plus": plus}
        if rules.plus_passes > 1:
            carry, calls = _sweeps(recursion, carry, out, loop)
            out |= {
                name: jax.tree.map(lambda one, more: jnp.concatenate([one, more]), out[name], more)
                for name, more in calls.items()
            }
    statistics = {name: out.pop(name) for name in ("minus", "plus") if name in out}
    if isinstance(carry.so_far, EverySound):
        out["sounds"] = carry.so_far.sounds  # later steps took from earlier sounds
    return Separation(**out, remaining=carry.remaining, statistics=statistics)


def _checkpointed(step: Callable[..., Any], *, recompute: bool) -> Callable[..., Any]:
    """Returns the step itself, or with `recompute` one whose activations are computed again for the gradient."""
    return jax.checkpoint(step) if recompute else step


def _scan(step: Callable[..., Any], carry: Any, inputs: Any, *, length: int, unroll: bool) -> tuple[Any, Any]:
    """Calls `lax.scan`, or the step itself for an unrolled loop of one step, which `lax.scan` would not unroll."""
    if unroll and length == 1:
        carry, out = step(carry, jax.tree.map(lambda x: x[0], inputs))
        return carry, jax.tree.map(lambda x: x[None], out)
    return jax.lax.scan(step, carry, inputs, length=length, unroll=unroll)


class _Carry(NamedTuple):
    """State between two steps: the remaining mixture, the sounds so far, and the closed candidates."""

    remaining: Array  # (batch, freq, time)
    so_far: SumOfSounds | EverySound
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
        """Separates and subtracts one sound.

        Args:
            carry: State before the step.
            inputs: The step's index, its given order, and its running statistics.
            with_plus: Whether to run the Plus-Net.
        """
        active = self._is_active(carry)
        out = where_any(
            active,
            functools.partial(self._separate_one, carry, inputs, with_plus=with_plus),
            skip=self.skip_finished,
        )
        # Inactive samples get fixed outputs; they subtract nothing and close no candidate.
        for name in ("sounds", "remixes", "incomplete", "taken", "share"):
            out[name] = silenced(out[name], active, 0.0)
        for name in ("mask_logits", "plus_logits"):
            out[name] = silenced(out[name], active, -jnp.inf)
        out["energies"] = jnp.where(active[:, None], out["energies"], 0)
        remaining = subtract(carry.remaining, out.pop("taken"), out.pop("share"), how=self.rules.subtraction)
        so_far = carry.so_far
        if with_plus:
            moved = jax.nn.sigmoid(out["plus_logits"])
            so_far, remaining = so_far.without(moved), left_over(remaining, moved, self.rules)
        following = _Carry(
            remaining=remaining + self.rules.floor if self.rules.floor else remaining,
            so_far=so_far.including(inputs["index"], out["sounds"]),
            closed=carry.closed | (closes(self.candidates, out["chosen"]) & active[:, None]),
        )
        chosen = jnp.where(active, out["chosen"], -1)
        return following, out | {"chosen": chosen, "before": carry.remaining, "active": active}

    def _is_active(self, carry: _Carry) -> Bool[Array, " batch"]:
        amount = self.rules.amount(self.mixture)
        active = ~jnp.all(carry.closed, axis=1) if self.order_is_predicted else jnp.ones_like(amount, bool)
        if self.rules.epsilon_relative is None:
            return active
        if self.rules.epsilon_relative and self.candidates.blank is not None:
            active &= jnp.any(~carry.closed & ~self.candidates.blank, axis=1)
        threshold = jnp.maximum(self.rules.epsilon_relative * amount, self.rules.epsilon_absolute)
        return active & (self.rules.amount(carry.remaining) > threshold)

    def _chosen_mask(self, carry: _Carry, inputs: dict[str, Any]) -> dict[str, Any]:
        """Chooses a candidate for every sample and returns the logits of its mask."""
        if not self.order_is_predicted and self.networks.mask is not None:
            chosen = inputs["order"]
            logits, statistics = self.networks.mask(
                carry.remaining, vectors_of(self.candidates, chosen), inputs["minus"]
            )
            energies = jnp.zeros(carry.closed.shape, logits.dtype)
            return {"minus": statistics, "energies": energies, "chosen": chosen, "mask_logits": logits}
        features, statistics = self.networks.minus(carry.remaining, inputs["minus"])  # (batch, freq, time, k)
        if self.order_is_predicted:
            # Eq. 7: the loudest sound comes first, and each candidate is taken once. Both are (batch, candidate).
            energies = candidate_energies(features, self.candidates, carry.remaining, self.rules.energy)
            chosen_from = preferred(self.candidates, ~carry.closed)
            chosen = jnp.argmax(jnp.where(chosen_from, energies, -jnp.inf), axis=1).astype(jnp.int32)
        else:
            energies = jnp.zeros(carry.closed.shape, features.dtype)
            chosen = inputs["order"]
        # Eq. 2: the mask is the feature maps weighted by the visual vector of the chosen candidate.
        logits = jnp.einsum("bftk,bk->bft", features, vectors_of(self.candidates, chosen))
        return {"minus": statistics, "energies": energies, "chosen": chosen, "mask_logits": logits}

    def _separate_one(self, carry: _Carry, inputs: dict[str, Any], *, with_plus: bool) -> dict[str, Any]:
        """Runs the networks for every sample; returns the outputs of the step and what it subtracts."""
        out = self._chosen_mask(carry, inputs)
        reference = self.rules.reference(carry.remaining, self.mixture)
        share = jax.nn.sigmoid(out["mask_logits"])
        sound = taken = incomplete = share * reference
        remix = source(carry.so_far.remix, sound, self.mixture, self.rules)
        out["plus_logits"] = jnp.full_like(sound, -jnp.inf)
        if with_plus:
            assert self.networks.plus is not None
            remaining = subtract(carry.remaining, sound, share, how=self.rules.subtraction)
            given = PlusInputs(remix, sound, remaining, self.mixture, vectors_of(self.candidates, out["chosen"]))
            # Eqs. 9 and 10: the Plus-Net adds to the sound what earlier sounds took of it.
            out["plus_logits"], out["plus"] = self.networks.plus(given, inputs["plus"])
            sound += jax.nn.sigmoid(out["plus_logits"]) * remix
            sound = jnp.minimum(sound, self.mixture) if self.rules.mask_on == "original" else sound
            if self.rules.subtracted == "final":
                # The inner `where` keeps the division, and so its gradient, finite in silent bins.
                taken, audible = sound, reference > 0
                share = jnp.minimum(jnp.where(audible, taken / jnp.where(audible, reference, 1.0), 0.0), 1.0)
        return out | {"sounds": sound, "incomplete": incomplete, "taken": taken, "share": share, "remixes": remix}


def _sweeps(recursion: _Recursion, carry: _Carry, out: dict[str, Any], loop: Loop) -> tuple[_Carry, dict[str, Any]]:
    """Completes all sounds again, `Rules.plus_passes` - 1 times; returns the state and the outputs of the calls."""
    networks, rules = recursion.networks, recursion.rules
    assert networks.plus is not None and isinstance(carry.so_far, EverySound)
    steps, sweeps = len(out["chosen"]), rules.plus_passes - 1
    of_steps = {"index": jnp.arange(steps), "chosen": out["chosen"], "active": out["active"]}
    inputs = {name: jnp.concatenate([x] * sweeps) for name, x in of_steps.items()}
    inputs["plus"] = jax.tree.map(lambda x: x[steps - 1 :], networks.statistics["plus"])
    sweep = Sweep(recursion.mixture, recursion.candidates, networks.plus, rules, recursion.skip_finished)
    parts = Parts(carry.so_far, carry.remaining)
    step = _checkpointed(sweep.step, recompute=loop.recompute)
    parts, swept = _scan(step, parts, inputs, length=steps * sweeps, unroll=loop.unroll)
    return carry._replace(so_far=parts.so_far, remaining=parts.remaining), swept


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
