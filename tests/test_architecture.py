"""Tests of the architecture: layers of imports, no circular imports, and no configs below `methods`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.repository import ROOT

# Listed from top to bottom. A module or subpackage may import itself and those in lower layers.
LAYERS = (
    ("train", "evaluate", "separate", "compare", "convert", "export", "list_models"),
    ("comparison", "demo"),
    ("separation",),
    ("evaluation",),
    ("weights",),
    ("methods",),
    ("run",),
    ("steps",),
    ("recursion", "pretrained"),
    ("models",),
    ("report",),
    ("spectrogram", "metrics", "config"),
    ("processes",),
    ("parallel", "configs"),
)
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}
# Functions may take a config here and in the commands.
TAKES_CONFIG = ("mpnet_jax/methods/", "mpnet_jax/config/", "mpnet_jax/comparison/cells.py")


def sources(package: str) -> dict[str, Path]:
    """Returns the files of a package by their module names."""
    files = sorted((ROOT / package).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


MODULES = sources("mpnet_jax") | sources("data_pipeline")


def imported(path: Path) -> Iterator[str]:
    """Yields the names of the modules that a file imports, including imports inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


def part(module: str) -> str:
    return module.split(".")[1]


def test_modules_import_only_lower_layers() -> None:
    upwards = [
        f"{module} imports {other}"
        for module, path in sources("mpnet_jax").items()
        for other in imported(path)
        if other.startswith("mpnet_jax.") and module != "mpnet_jax" and part(other) != part(module)
        if LAYER_OF[part(module)] >= LAYER_OF[part(other)]
    ]
    assert upwards == []


def test_the_data_pipeline_does_not_import_jax() -> None:
    roots = {name.split(".")[0] for path in sources("data_pipeline").values() for name in imported(path)}
    assert roots.isdisjoint({"jax", "flax", "optax", "orbax", "mpnet_jax"})


def test_there_are_no_circular_imports() -> None:
    remaining = {
        module: {other for other in imported(path) if other in MODULES and other != module}
        for module, path in MODULES.items()
    }
    while leaves := [module for module, others in remaining.items() if not others & remaining.keys()]:
        for module in leaves:
            del remaining[module]
    assert sorted(remaining) == []


def test_the_top_folder_of_the_package_holds_only_commands() -> None:
    names = {path.stem for path in (ROOT / "mpnet_jax").glob("*.py")}
    assert names == {"__init__", "__main__", "parallel", *LAYERS[0]}


def test_only_commands_and_methods_take_a_config() -> None:
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


def test_only_the_methods_package_checks_which_method_it_is() -> None:
    decision = re.compile(r"isinstance\(.*(MIML|PixelPlayer|MPNet)|config\.method")
    files = [
        path.relative_to(ROOT).as_posix()
        for path in sources("mpnet_jax").values()
        if "methods" not in path.parts and decision.search(path.read_text(encoding="utf-8"))
    ]
    assert files == []


def reads_or_writes_text(call: ast.Call) -> bool:
    """Returns whether a call is that of a method of `Path` (or of `subprocess`) that handles text."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    first = call.args[0] if call.args else ast.Constant("r")
    keywords = {keyword.arg for keyword in call.keywords}
    if name == "open":  # that of other libraries takes a file first
        return isinstance(first, ast.Constant) and "b" not in str(first.value) and "fileobj" not in keywords
    return name == "write_text" or (name == "read_text" and not call.args) or "text" in keywords


def test_text_is_read_and_written_as_utf_8_whatever_the_locale() -> None:
    """The rule PLW1514 of ruff finds only calls on names whose type it can infer."""
    without = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in (MODULES | sources("benchmarks")).values()
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and reads_or_writes_text(call)
        if all(keyword.arg != "encoding" for keyword in call.keywords)
    ]
    assert without == []
