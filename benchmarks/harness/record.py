"""What both benchmarks share: the facts of a run and a JSON file that is written whole or not at all."""

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
    """Whether the peer can run."""
    return importlib.util.find_spec("torch") is not None


def check_file(path: str | None) -> Path:
    """The path of `--json`, whose folder is made.

    Raises:
        InputError: no path, or one that is no file's.
    """
    if not path:
        raise InputError("--json is missing; name the file to write, for example --json=runs/benchmarks/result.json")
    file = Path(path)
    if file.is_dir():
        raise InputError(f"--json={path} is a folder; name a file")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def write(path: Path, results: dict[str, Any]) -> None:
    """Writes results with the run's facts."""
    facts = run_facts() | {"glibc": " ".join(platform.libc_ver()), "load_average": os.getloadavg()}
    write_atomically(path, json.dumps({"facts": facts} | results, indent=2) + "\n")
