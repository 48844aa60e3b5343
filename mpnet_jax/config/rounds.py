"""Rounds of training: stretches of steps, each of which trains some of a method's networks. Source: Sec. 3.4."""

from collections.abc import Mapping
from typing import NamedTuple


class RoundKind(NamedTuple):
    """What a round of one name trains.

    Attributes:
        trained: Names of the networks that learn. All others keep their parameters and running statistics.
        result: Name under which results report the networks that the round trains.
    """

    trained: tuple[str, ...]
    result: str


class Round(NamedTuple):
    """One round of a run.

    Attributes:
        name: "minus", "plus" or "both", as in `config.rounds`.
        first_step: Optimiser steps done before the round.
        steps: Length of the round in steps.
        trained: Names of the networks that learn; "frame_head" stands for the frame network behind its trunk.
        result: See `RoundKind`.
    """

    name: str
    first_step: int
    steps: int
    trained: tuple[str, ...]
    result: str

    @property
    def last_step(self) -> int:
        """Optimiser steps done at the end of the round."""
        return self.first_step + self.steps


def plan_rounds(steps: Mapping[str, int], kinds: Mapping[str, RoundKind]) -> tuple[Round, ...]:
    """Returns the rounds of a run in their order, without those of 0 steps.

    Args:
        steps: Length of each round by its name.
        kinds: The rounds that the method has, in their order.

    Raises:
        ValueError: Every round has 0 steps, or a round has steps that the method does not have.
    """
    rounds: list[Round] = []
    for name, kind in kinds.items():
        if steps[name]:
            rounds.append(Round(name, rounds[-1].last_step if rounds else 0, steps[name], *kind))
    unknown = [name for name, length in steps.items() if length and name not in kinds]
    if unknown:
        others = " and ".join(f"rounds.{name}" for name in steps if name not in kinds)
        (only,) = kinds
        raise ValueError(f"rounds: {kinds[only].result} has one; give rounds.{only} its steps and set {others} to 0")
    if not rounds:
        raise ValueError("rounds: every one has 0 steps; give at least one of them some")
    return tuple(rounds)


def round_of(rounds: tuple[Round, ...], step: int) -> Round:
    """Returns the round that a step belongs to; a checkpoint of that step holds the round's optimiser state."""
    return next((r for r in rounds if step <= r.last_step), rounds[-1])
