"""The cells of a comparison: each is a run with one method, mask, number of sources and seed.

There are four kinds, each in its own folder. Starts train the networks with which the other cells of a seed start.
Trials find a method's learning rate on the validation split. Cells are the comparison itself, on the test split.
Ablations change fields of one cell and are evaluated on the validation split.
"""

import ast
import dataclasses
import fnmatch
import re
from collections.abc import Iterable
from typing import Any

from data_pipeline.command import InputError
from mpnet_jax.config.check import check
from mpnet_jax.config.specs import Config
from mpnet_jax.configs import miml
from mpnet_jax.methods.registry import Method, method_of

# The method that a cell trains, by the cell's name.
METHODS = {"miml": "miml", "pixelplayer": "pixelplayer", "mnet": "mpnet", "mpnet": "mpnet"}
WITHOUT_MASK = frozenset({"miml"})
NO_MASK = "none"
KINDS = ("starts", "trials", "cells", "ablations")
START = "start"
START_METHOD = "pixelplayer"  # with whose networks the M-Net can start, too
WITHOUT_START = frozenset({"miml"})  # because it shares no network with the others
# Prefixes of fields that also change the networks of a start: an ablation of these has its own start.
_OF_STARTS = ("audio.", "frames.", "model.")
_NOT_OF_STARTS = ("model.plus_", "model.statistics_per_step")
MOST_SOUNDS = 8  # of `evaluate --mix`
DEFAULT = "default"  # the ablation that changes nothing

_SETTING = re.compile(r"(binary|ratio)-mix([2-8])")
_CHANGE = re.compile(r"([a-z0-9_]+):((?: [a-z_.]+=\S+)+)")


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        kind: One of `KINDS`; the folder of its file.
        method: One of `METHODS`.
        mask: "binary", "ratio" or `NO_MASK`.
        sources: Number of sources in a training mixture.
        seed: Seed of the run.
        rate: Learning rate of a trial or a start; None where it is chosen by trials.
        share: Fraction of the steps of each round.
        change: Name of an ablation or a start.
        overrides: (field, value as text) of the config fields that it changes.
        start: Cell whose networks its run starts with; None for random ones.
    """

    kind: str
    method: str
    mask: str
    sources: int
    seed: int
    rate: float | None = None
    share: float = 1.0
    change: str = ""
    overrides: tuple[tuple[str, str], ...] = ()
    start: "Cell | None" = None

    @property
    def is_evaluated(self) -> bool:
        """Whether the cell is evaluated after training."""
        return self.kind in ("cells", "ablations")

    @property
    def setting(self) -> str:
        """Mask and number of sources."""
        return f"{self.mask}-mix{self.sources}"

    @property
    def name(self) -> str:
        """Name of its file without the suffix, unique within its kind."""
        start = self.change or self.method
        end = f"-rate{self.rate:g}" if self.kind == "trials" else ""
        return f"{start}-{self.setting}-seed{self.seed}{end}"

    @property
    def path(self) -> str:
        """Path of its file within the comparison's folder, without the suffix."""
        return f"{self.kind}/{self.name}"

    def run_name(self, rate: float) -> str:
        """Returns the name of its run. Cells with equal training share a run, as the best trial and its cell do."""
        share = "" if self.share == 1.0 else f"-share{self.share:g}"
        change = f"-{self.change}" if self.overrides else ""
        return f"{self.method}-{self.setting}-seed{self.seed}-rate{rate:g}{share}{change}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """All cells of a config, in the order in which they are made."""

    starts: tuple[Cell, ...]
    trials: tuple[Cell, ...]
    cells: tuple[Cell, ...]
    ablations: tuple[Cell, ...]

    def __iter__(self) -> Any:
        return iter((*self.starts, *self.trials, *self.cells, *self.ablations))

    def trials_of(self, cell: Cell) -> tuple[Cell, ...]:
        """Returns the trials that choose a cell's learning rate."""
        return tuple(trial for trial in self.trials if trial.method == cell.method)

    def matching(self, pattern: str) -> "Plan":
        """Returns the cells whose name or path fits a pattern such as "mpnet-*", with the starts and trials they need.

        Raises:
            InputError: No cell fits.
        """

        def fits(cell: Cell) -> bool:
            return any(fnmatch.fnmatchcase(text, pattern) for text in (cell.name, cell.path))

        cells, ablations = ([cell for cell in kind if fits(cell)] for kind in (self.cells, self.ablations))
        needed = {cell.method for cell in (*cells, *ablations)}
        trials = [trial for trial in self.trials if fits(trial) or trial.method in needed]
        needed = {cell.start for cell in (*trials, *cells, *ablations)}
        starts = [start for start in self.starts if fits(start) or start in needed]
        if not (cells or ablations or trials or starts):
            first = next(iter(self), None)
            raise InputError(f"--only={pattern} fits no cell of the grid; a cell is named like {first and first.path}")
        return Plan(tuple(starts), tuple(trials), tuple(cells), tuple(ablations))


def plan(config: Config) -> Plan:
    """Returns the cells of `config.compare`.

    Raises:
        InputError: A method, setting or change is unknown or given twice.
    """
    fields = config.compare
    for method in _distinct("methods", fields.methods):
        if method not in METHODS:
            raise InputError(
                f"config.compare.methods names {method!r}, which is unknown; use some of {', '.join(METHODS)}"
            )
    seeds = _distinct("seeds", fields.seeds)
    settings = [_setting("settings", setting) for setting in _distinct("settings", fields.settings)]
    cells = [
        Cell("cells", method, mask, sources, seed)
        for seed in seeds
        for method in fields.methods
        for mask, sources in _settings_of(method, settings)
    ]
    _check_sounds("mixes", fields.mixes)
    _check_sounds("ablations.mixes", fields.ablations.mixes)
    ablations = _ablations(fields.ablations, seeds)
    rates = _distinct("rates.tried", fields.rates.tried)
    mask, sources = _setting("rates.setting", fields.rates.setting)
    trained = dict.fromkeys(cell.method for cell in (*cells, *ablations))
    trials = [
        Cell("trials", method, *_settings_of(method, [(mask, sources)])[0], fields.rates.seed, rate, fields.rates.share)
        for method in trained
        for rate in (rates if len(rates) > 1 else ())
    ]
    kinds = [
        tuple(dataclasses.replace(cell, start=_start(fields.start, cell)) for cell in kind)
        for kind in (trials, cells, ablations)
    ]
    starts = dict.fromkeys(cell.start for kind in kinds for cell in kind if cell.start is not None)
    return Plan(tuple(starts), *kinds)


def changes(cell: Cell, config: Config, rate: float) -> dict[str, Any]:
    """Returns {field: value} of the config fields that a cell's run changes; `start_from` is the name of a run.

    The M-Net and PixelPlayer train for as many steps as MP-Net's rounds one and three together. A method with a single
    round has the learning rate of the first round. MIML has its own settings.
    """
    minus, plus, both = (round(config.rounds[name] * cell.share) for name in ("minus", "plus", "both"))
    fields: dict[str, Any] = {"method": METHODS[cell.method]}
    if cell.mask != NO_MASK:
        fields["mask"] = cell.mask
    fields |= {"mixing.sources": cell.sources, "seed": cell.seed, "optimiser.learning_rate": rate}
    if cell.start is not None:
        fields["start_from"] = cell.start.run_name(config.compare.start.learning_rate)
    if cell.method == "mpnet":
        fields |= {"rounds.minus": minus, "rounds.plus": plus, "rounds.both": both}
    elif cell.method == "mnet":
        fields |= {"rounds.minus": minus + both, "rounds.plus": 0, "rounds.both": 0}
    elif cell.method == "miml":
        steps = round(miml.FIELDS["rounds.both"] * cell.share)
        fields |= miml.FIELDS | {"rounds.both": steps, "optimiser.learning_rate": rate}
    else:
        fields |= {"rounds.minus": 0, "rounds.plus": 0, "rounds.both": minus + both}
        fields["optimiser.round_scale.both"] = config.optimiser.round_scale.minus
    return fields | {field: _value(text) for field, text in cell.overrides}


def changed(config: Config, cell: Cell, rate: float) -> Config:
    """Returns the config of a cell's run.

    Raises:
        InputError: An ablation changes a field that does not exist, or to a value of another type.
    """
    out = config.copy_and_resolve_references().lock()
    for field, value in changes(cell, config, rate).items():
        try:
            out.update_from_flattened_dict({field: value})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"config.compare: {cell.path} cannot set config.{field}={value} ({reason})") from None
    return out


class Grid:
    """A comparison's config, for the parts of a comparison that take no config.

    Attributes:
        plan: All cells.
        settings: The fields of `config.compare`.

    Args:
        config: Config of the comparison.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.plan = plan(config)
        self.settings = config.compare

    def changes(self, cell: Cell, rate: float) -> dict[str, Any]:
        """Returns the fields that a cell's run changes; see `changes`."""
        return changes(cell, self._config, rate)

    def method(self, cell: Cell, rate: float) -> Method:
        """Returns the method of a cell's run.

        Raises:
            InputError: The cell changes a field to a value that cannot be used.
        """
        config = changed(self._config, cell, rate)
        check(config)
        return method_of(config)


def _start(fields: Any, cell: Cell) -> Cell | None:
    """Returns the start of a cell; None with `compare.start.steps` of 0, and for MIML."""
    if not fields.steps or cell.method in WITHOUT_START:
        return None
    mask, sources = _setting("start.setting", fields.setting)
    parts = _CHANGE.fullmatch(f"{START}: rounds.both={fields.steps} {fields.changes}".rstrip())
    if parts is None:
        raise InputError(f"config.compare.start.changes={fields.changes!r} must be like 'field=value field=value'")
    shared = tuple(
        pair for pair in cell.overrides if pair[0].startswith(_OF_STARTS) and not pair[0].startswith(_NOT_OF_STARTS)
    )
    return Cell(
        "starts",
        START_METHOD,
        mask,
        sources,
        cell.seed,
        fields.learning_rate,
        change=f"{START}_{cell.change}" if shared else START,
        overrides=_pairs(parts[2]) + shared,
    )


def _ablations(fields: Any, seeds: tuple[int, ...]) -> list[Cell]:
    if not (fields.changes or fields.repeated):
        return []
    if fields.method not in METHODS:
        known = ", ".join(METHODS)
        raise InputError(f"config.compare.ablations.method={fields.method!r} is unknown; use one of {known}")
    setting = _setting("ablations.setting", fields.setting)
    cell = Cell("ablations", fields.method, *_settings_of(fields.method, [setting])[0], fields.seed, share=fields.share)
    found = [dataclasses.replace(cell, change=DEFAULT)]
    for text in fields.changes:
        parts = _CHANGE.fullmatch(text)
        if parts is None or parts[1] in {known.change for known in found}:
            raise InputError(
                f"config.compare.ablations.changes holds {text!r}; give each a name of its own (not {DEFAULT}) and "
                "what it changes: 'name: field=value field=value'"
            )
        found.append(dataclasses.replace(cell, change=parts[1], overrides=_pairs(parts[2])))
    if not fields.repeated:
        return found
    repeated = {DEFAULT, *_distinct("ablations.repeated", fields.repeated)}
    if unknown := repeated - {known.change for known in found}:
        raise InputError(
            f"config.compare.ablations.repeated names {min(unknown)!r}, which is no name in "
            "config.compare.ablations.changes"
        )
    return found + [
        dataclasses.replace(known, seed=seed)
        for seed in seeds
        for known in found
        if seed != fields.seed and known.change in repeated
    ]


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Parses "field=value field=value"."""
    return tuple((field, value) for field, _, value in (pair.partition("=") for pair in text.split()))


def _settings_of(method: str, settings: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Returns the distinct settings of a method, without the mask if it has none."""
    return list(dict.fromkeys((NO_MASK, n) if method in WITHOUT_MASK else (mask, n) for mask, n in settings))


def _setting(field: str, text: str) -> tuple[str, int]:
    parts = _SETTING.fullmatch(text)
    if parts is None:
        raise InputError(f"config.compare.{field} holds {text!r}; give binary-mixN or ratio-mixN, N from 2 to 8")
    return parts[1], int(parts[2])


def _distinct(field: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values or len(set(values)) < len(values):
        raise InputError(f"config.compare.{field}={values} must name at least one, and none twice")
    return values


def _check_sounds(field: str, numbers: tuple[int, ...]) -> None:
    if not all(2 <= number <= MOST_SOUNDS for number in numbers):
        raise InputError(f"config.compare.{field}={numbers} must be numbers of sounds from 2 to {MOST_SOUNDS}")


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
