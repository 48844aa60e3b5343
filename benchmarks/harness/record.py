"""Checks and writes the JSON files of the benchmarks."""

import importlib.util
import json
import os
import platform
from pathlib import Path
from typing import Any

from data_pipeline.atomic import write_atomically
from data_pipeline.command import InputError
from mpnet_jax.run.facts import run_facts


def has_torch() -> bool:
    """Returns whether PyTorch, the peer, is installed."""
    return importlib.util.find_spec("torch") is not None


def require_torch() -> None:
    """Raises InputError if PyTorch, the peer, is not installed."""
    if not has_torch():
        raise InputError(
            "PyTorch, the peer, is not installed; get it with: pip install -e '.[torch]' "
            "--extra-index-url https://download.pytorch.org/whl/cpu"
        )


def check_file(path: Path | None) -> Path:
    """Returns the path of `--json` and creates its folder.

    Raises:
        InputError: The path is missing or a folder.
    """
    if not path:
        raise InputError("--json is missing; name the file to write, for example --json=runs/benchmarks/result.json")
    file = Path(path)
    if file.is_dir():
        raise InputError(f"--json={path} is a folder; name a file")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def write(path: Path, results: dict[str, Any]) -> None:
    """Writes results with the command, commit, machine, versions and load, atomically."""
    facts = run_facts() | {"glibc": " ".join(platform.libc_ver()), "load_average": os.getloadavg()}
    write_atomically(path, json.dumps({"facts": facts} | results, indent=2) + "\n")
