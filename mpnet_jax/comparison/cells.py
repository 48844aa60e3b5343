"""The cells of a comparison: each is a run with one method, mask, number of sources and seed.

There are two kinds, each in its own folder. Cells are the comparison itself, on the test split. Ablations change fields
of one method and are evaluated on the validation split. Cells form pairs: the cells of some methods begin with the
networks of another cell, so that both differ in one thing.
"""

import ast
import dataclasses
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from data_pipeline.command import InputError
from mpnet_jax.config.check import check
from mpnet_jax.config.specs import Config
from mpnet_jax.configs import miml
from mpnet_jax.methods.registry import Method, method_of


class Training(NamedTuple):
    """How a method of a comparison is trained.

    Attributes:
        method: The method that is trained, by its name in `mpnet_jax.methods`.
        rounds: The run's rounds, each with the round of the config whose steps and learning rate it has.
        start: Method of the cell whose best networks the run begins with; "" for random ones.
    """

    method: str
    rounds: Mapping[str, str]
    start: str = ""


METHODS = {
    "miml": Training("miml", {}),  # with its own steps
    "pixelplayer": Training("pixelplayer", {"both": "minus"}),
    "mnet": Training("mpnet", {"minus": "minus"}),
    "mnet_longer": Training("mpnet", {"minus": "both"}, start="mnet"),  # the control of MP-Net's last round
    "mpnet": Training("mpnet", {"plus": "plus", "both": "both"}, start="mnet"),
    "mpnet_paper": Training("mpnet", {"plus": "plus", "both": "both"}, start="mnet"),
}
NO_MASK = "none"  # MIML's
ALL = "0/1"  # the share of the chains that is all of them
MOST_SOUNDS = 8  # of `evaluate --mix`
DEFAULT = "default"  # the ablation that changes nothing

_ROUNDS = ("minus", "plus", "both")
_OF_ROUNDS = frozenset(f"{group}.{name}" for group in ("rounds", "optimiser.round_scale") for name in _ROUNDS)
_SETTING = re.compile(r"(binary|ratio)-mix([2-8])")
_CHANGE = re.compile(r"([a-z_]+)( [a-z0-9_]+)?:((?: [a-z_.]+=\S+)+)")
# Fields that change nothing about the M-Net that MP-Net begins with: all of the Plus-Net, and those of the last round.
_OF_PLUS = re.compile(r".*plus.*|rounds\.both|optimiser\.round_scale\.both")


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        kind: "cells" or "ablations"; the folder of its file.
        method: One of `METHODS`.
        mask: "binary", "ratio" or `NO_MASK`.
        sources: Number of sources in a training mixture.
        seed: Seed of the run.
        change: Name of an ablation.
        overrides: (field, value as text) of the config fields that it changes.
        start: Cell of the same kind with whose best networks its run begins; None for random ones.
    """

    kind: str
    method: str
    mask: str
    sources: int
    seed: int
    change: str = ""
    overrides: tuple[tuple[str, str], ...] = ()
    start: "Cell | None" = None

    @property
    def setting(self) -> str:
        """Mask and number of sources."""
        return f"{self.mask}-mix{self.sources}"

    @property
    def name(self) -> str:
        """Name of its file without the suffix, unique within its kind."""
        change = f"{self.change}-" if self.change else ""
        return f"{change}{self.method}-{self.setting}-seed{self.seed}"

    @property
    def path(self) -> str:
        """Path of its file within the comparison's folder, without the suffix."""
        return f"{self.kind}/{self.name}"

    @property
    def run_name(self) -> str:
        """Name of its run; the ablation without a change is another evaluation of a cell's run."""
        change = f"-{self.change}" if self.change not in ("", DEFAULT) else ""
        return f"{self.method}-{self.setting}-seed{self.seed}{change}"

    @property
    def first_run(self) -> str:
        """Name of the run at the beginning of its chain: that of its start, else its own."""
        return self.start.first_run if self.start else self.run_name


class Grid:
    """All cells of a config, and their runs, for the parts of a comparison that take no config.

    Attributes:
        cells: The cells, in the order in which they are made: a start comes before the cells that need it.
        ablations: The ablations.
        settings: The fields of `config.compare`.

    Args:
        config: Config of the comparison.

    Raises:
        InputError: A method, setting or change is unknown or given twice.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.settings = fields = config.compare
        self._own = {method: pairs for method, _, pairs in _parsed("changes", fields.changes)}
        for field, numbers in (("mixes", fields.mixes), ("ablations.mixes", fields.ablations.mixes)):
            if not all(2 <= number <= MOST_SOUNDS for number in numbers):
                raise InputError(f"config.compare.{field}={numbers} must be numbers of sounds from 2 to {MOST_SOUNDS}")
        settings = [_setting("settings", setting) for setting in _distinct("settings", fields.settings)]
        self.cells = _with_starts(
            Cell("cells", _known("methods", method), *setting, seed)
            for seed in _distinct("seeds", fields.seeds)
            for method in _distinct("methods", fields.methods)
            for setting in _settings_of(method, settings)
        )
        self.ablations = _with_starts(_ablations(fields.ablations))
        if len({cell.path for cell in self.ablations}) < len(self.ablations):
            raise InputError(f"config.compare.ablations.changes={fields.ablations.changes} must not repeat a name")

    def __iter__(self) -> Iterator[Cell]:
        return iter((*self.cells, *self.ablations))

    def chains(self, pattern: str = "*", share: str = ALL) -> dict[int, tuple[Cell, ...]]:
        """Returns the cells in groups that do not depend on each other, by the number of the group.

        Args:
            pattern: Pattern of the name or path of cells, such as "mpnet-*". Cells that these begin with are added.
            share: "i/n" returns every n-th group, from number i on.

        Returns:
            Groups of a cell and all cells that begin with its networks, in the order in which they are made.

        Raises:
            InputError: No cell fits the pattern, or the share is not written like this.
        """
        parts = re.fullmatch(r"(\d+)/(\d+)", share)
        if parts is None or int(parts[1]) >= int(parts[2]):
            raise InputError(f"--cells={share} must be i/n, with i from 0 to n - 1, such as 0/4")
        fitting = {cell for cell in self if any(fnmatch.fnmatchcase(text, pattern) for text in (cell.name, cell.path))}
        if not fitting:
            first = next(iter(self)).path
            raise InputError(f"--only={pattern} fits no cell of the comparison; a cell is named like {first}")
        fitting |= {cell.start for cell in fitting if cell.start is not None}
        groups: dict[str, list[Cell]] = {}
        for cell in (cell for cell in self if cell in fitting):
            groups.setdefault(cell.first_run, []).append(cell)
        chains = [tuple(group) for group in groups.values()]
        return {index: chains[index] for index in range(int(parts[1]), len(chains), int(parts[2]))}

    def changes(self, cell: Cell) -> dict[str, Any]:
        """Returns {field: value} of the config fields that a cell's run changes; `start_from` is the name of a run.

        The M-Net and PixelPlayer train for as many steps, and the M-Net that is trained longer for as many more as
        MP-Net trains both its networks. MIML has its own settings.
        """
        given = {field: _value(text) for field, text in (*self._own.get(cell.method, ()), *cell.overrides)}
        training = METHODS[cell.method]
        fields: dict[str, Any] = {"method": training.method, "mixing.sources": cell.sources, "seed": cell.seed}
        if cell.mask != NO_MASK:
            fields["mask"] = cell.mask
        if cell.method == "miml":
            return fields | miml.FIELDS | given
        for name in _ROUNDS:
            like, steps, scale = training.rounds.get(name), f"rounds.{name}", f"optimiser.round_scale.{name}"
            fields[steps] = given.get(f"rounds.{like}", self._config.rounds[like]) if like else 0
            if like:
                known = self._config.optimiser.round_scale[like]
                fields[scale] = given.get(f"optimiser.round_scale.{like}", known)
        if cell.start is not None:
            fields["start_from"] = cell.start.run_name
        return fields | {field: value for field, value in given.items() if field not in _OF_ROUNDS}

    def config(self, cell: Cell) -> Config:
        """Returns the config of a cell's run.

        Raises:
            InputError: The cell changes a field that does not exist, or to a value of another type.
        """
        out = self._config.copy_and_resolve_references().lock()
        for field, value in self.changes(cell).items():
            try:
                out.update_from_flattened_dict({field: value})
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                reason = " ".join(str(error).split())
                raise InputError(f"config.compare: {cell.path} cannot set config.{field}={value} ({reason})") from None
        return out

    def method(self, cell: Cell) -> Method:
        """Returns the method of a cell's run.

        Raises:
            InputError: The cell changes a field to a value that cannot be used.
        """
        config = self.config(cell)
        check(config)
        return method_of(config)


def _ablations(fields: Any) -> Iterator[Cell]:
    setting = _setting("ablations.setting", fields.setting)
    listed = _parsed("ablations.changes", fields.changes)
    if any(name in ("", DEFAULT) for _, name, _ in listed):
        raise InputError(f"config.compare.ablations.changes={fields.changes} must name each change, not {DEFAULT}")
    unchanged = [(method, DEFAULT, ()) for method in dict.fromkeys(method for method, _, _ in listed)]
    for seed in _distinct("ablations.seeds", fields.seeds):
        for method, name, pairs in (*unchanged, *listed):
            yield Cell("ablations", method, *_settings_of(method, [setting])[0], seed, name, pairs)


def _with_starts(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Adds to cells the cells that they begin with, each before the first cell that needs it.

    An ablation that changes the Plus-Net alone begins with the unchanged M-Net, any other with one of the same change.
    """
    out: dict[Cell, None] = {}
    for cell in cells:
        start, method = None, METHODS[cell.method].start
        if method and cell.change and all(_OF_PLUS.fullmatch(field) for field, _ in cell.overrides):
            start = dataclasses.replace(cell, method=method, change=DEFAULT, overrides=())
        elif method:
            start = dataclasses.replace(cell, method=method)
        if start is not None:
            out[start] = None
        out[dataclasses.replace(cell, start=start)] = None
    return tuple(out)


def _parsed(field: str, texts: Iterable[str]) -> list[tuple[str, str, tuple[tuple[str, str], ...]]]:
    """Parses texts such as "method name: field=value field=value" into method, name and pairs."""
    found = []
    for text in texts:
        parts = _CHANGE.fullmatch(text)
        if parts is None:
            raise InputError(
                f"config.compare.{field} holds {text!r}; write 'method: field=value field=value', in an ablation with "
                "a name behind the method"
            )
        pairs = tuple((name, value) for name, _, value in (pair.partition("=") for pair in parts[3].split()))
        found.append((_known(field, parts[1]), (parts[2] or "").strip(), pairs))
    return found


def _known(field: str, method: str) -> str:
    if method not in METHODS:
        raise InputError(f"config.compare.{field} names {method!r}, which is unknown; use some of {', '.join(METHODS)}")
    return method


def _settings_of(method: str, settings: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Returns the distinct settings of a method, without the mask if it has none."""
    return list(dict.fromkeys((NO_MASK, n) if method == "miml" else (mask, n) for mask, n in settings))


def _setting(field: str, text: str) -> tuple[str, int]:
    parts = _SETTING.fullmatch(text)
    if parts is None:
        raise InputError(f"config.compare.{field} holds {text!r}; give binary-mixN or ratio-mixN, N from 2 to 8")
    return parts[1], int(parts[2])


def _distinct(field: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values or len(set(values)) < len(values):
        raise InputError(f"config.compare.{field}={values} must name at least one, and none twice")
    return values


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
