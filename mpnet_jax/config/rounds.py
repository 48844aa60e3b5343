"""The three rounds of training: the M-Net, then a P-Net on top of it, then both. Source: Sec. 3.4.

PixelPlayer and MIML have one round, "both", in which all their networks learn.
"""

from collections.abc import Mapping
from typing import NamedTuple

# What each round trains; all other networks keep their parameters and their running statistics.
TRAINED = {
    "minus": ("frame_net", "minus_net"),
    "plus": ("plus_net",),
    "both": ("frame_net", "minus_net", "plus_net"),
}
# Networks of the methods that have one round.
NETS = {
    "pixelplayer": ("frame_net", "sound_net", "synthesizer"),
    "miml": ("relation_net",),
}
METHODS = ("mpnet", *NETS)
# What the rounds of all methods train, as the results name it; of one run, the main one comes last.
RESULTS = ("mnet", *METHODS)


class Round(NamedTuple):
    """A stretch of training.

    Attributes:
        name: "minus", "plus" or "both".
        first_step: optimiser steps done before it.
        steps: its length.
        of: the method, one of `METHODS`.
    """

    name: str
    first_step: int
    steps: int
    of: str = "mpnet"

    @property
    def last_step(self) -> int:
        """Steps done at its end."""
        return self.first_step + self.steps

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the networks that learn."""
        return NETS.get(self.of, TRAINED[self.name])

    @property
    def with_plus(self) -> bool:
        """Whether the recursion runs the P-Net."""
        return "plus_net" in self.trained

    @property
    def method(self) -> str:
        """What it trains, one of `RESULTS`: MP-Net without its P-Net is the M-Net."""
        return "mnet" if self.of == "mpnet" and not self.with_plus else self.of


def plan_rounds(steps: Mapping[str, int], *, trained_before: bool = False, method: str = "mpnet") -> tuple[Round, ...]:
    """The rounds in their order, without those of no steps.

    Args:
        steps: length of each round by its name.
        trained_before: whether training starts from an M-Net that was trained elsewhere.
        method: one of `METHODS`.

    Raises:
        ValueError: no round at all, a P-Net that is to learn on an M-Net which never did, or rounds of MP-Net for
            another method.
    """
    rounds: list[Round] = []
    for name in TRAINED:
        if steps[name]:
            rounds.append(Round(name, rounds[-1].last_step if rounds else 0, steps[name], method))
    if not rounds:
        raise ValueError("rounds: every one has 0 steps; give at least one of them some")
    if method != "mpnet" and (steps["minus"] or steps["plus"]):
        raise ValueError(f"rounds: {method} has one; give rounds.both its steps and set rounds.minus and .plus to 0")
    if rounds[0].name == "plus" and not trained_before:
        raise ValueError(
            "rounds.plus needs an M-Net that was trained before; give rounds.minus some steps, or name a run's "
            "workdir in config.start_from"
        )
    return tuple(rounds)


def round_of(rounds: tuple[Round, ...], step: int) -> Round:
    """The round that step number `step` belonged to, whose optimiser a checkpoint of that step holds."""
    return next((r for r in rounds if step <= r.last_step), rounds[-1])
