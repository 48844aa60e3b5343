"""The rules that hold the layout: imports run downwards, no file is in a circle, and a config stops at `methods`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.repository import ROOT

# From top to bottom: a room may import from the rooms below it, and from itself.
LEVELS = (
    ("train", "evaluate", "separate", "compare", "convert", "export"),
    ("comparison",),
    ("separation",),
    ("evaluation",),
    ("weights",),
    ("methods",),
    ("run",),
    ("steps",),
    ("recursion",),
    ("models",),
    ("report",),
    ("spectrogram", "metrics", "config", "pretrained"),
    ("processes",),
    ("parallel",),
)
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
# Where a function may take a config: commands, the methods, and the code that checks, saves or plans configs.
TAKES_CONFIG = ("mpnet_jax/methods/", "mpnet_jax/config/", "mpnet_jax/comparison/cells.py")


def sources(package: str) -> dict[str, Path]:
    """The files of a package by their module names."""
    files = sorted((ROOT / package).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


MODULES = sources("mpnet_jax") | sources("data_pipeline")


def imported(path: Path) -> Iterator[str]:
    """Names of the modules that a file imports, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


def room(module: str) -> str:
    return module.split(".")[1]


def test_imports_run_downwards() -> None:
    upwards = [
        f"{module} imports {other}"
        for module, path in sources("mpnet_jax").items()
        for other in imported(path)
        if other.startswith("mpnet_jax.") and module != "mpnet_jax" and room(other) != room(module)
        if LEVEL_OF[room(module)] >= LEVEL_OF[room(other)]
    ]
    assert upwards == []


def test_the_data_pipeline_knows_no_jax() -> None:
    roots = {name.split(".")[0] for path in sources("data_pipeline").values() for name in imported(path)}
    assert roots.isdisjoint({"jax", "flax", "optax", "orbax", "mpnet_jax"})


def test_no_file_is_in_a_circle_of_imports() -> None:
    remaining = {
        module: {other for other in imported(path) if other in MODULES and other != module}
        for module, path in MODULES.items()
    }
    while ground := [module for module, others in remaining.items() if not others & remaining.keys()]:
        for module in ground:
            del remaining[module]
    assert sorted(remaining) == []


def test_the_top_of_the_package_holds_its_commands_alone() -> None:
    names = {path.stem for path in (ROOT / "mpnet_jax").glob("*.py")}
    assert names == {"__init__", "parallel", *LEVELS[0]}


def test_a_config_stops_at_the_commands_and_at_methods() -> None:
    takers = set()
    for path in sources("mpnet_jax").values():
        name = path.relative_to(ROOT).as_posix()
        if path.parent == ROOT / "mpnet_jax" or name.startswith(TAKES_CONFIG):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.arg) and node.arg == "config":
                takers.add(name)
            if isinstance(node, ast.ImportFrom) and any(alias.name == "Config" for alias in node.names):
                takers.add(name)
    assert takers == set()


def test_only_the_methods_package_asks_which_method_it_is() -> None:
    asks = re.compile(r"isinstance\(.*(MIML|PixelPlayer|MPNet)|config\.method")
    askers = [
        path.relative_to(ROOT).as_posix()
        for path in sources("mpnet_jax").values()
        if "methods" not in path.parts and asks.search(path.read_text(encoding="utf-8"))
    ]
    assert askers == []
