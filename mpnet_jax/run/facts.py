"""Collects the provenance of results: command, commit, machine, versions, date."""

import datetime
import importlib.metadata
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

_PACKAGES = ("jax", "flax", "tensorflow-cpu", "tensorflow", "mir_eval", "numpy", "scipy")


def run_facts() -> dict[str, str]:
    """Returns facts of this process as JSON-ready text: command, commit, machine, python, packages, date (UTC)."""
    module = getattr(sys.modules["__main__"].__spec__, "name", None)
    program = f"python -m {module}" if module else Path(sys.argv[0]).name
    versions = {name: version for name in _PACKAGES if (version := _version(name))}
    return {
        "command": " ".join([program, *map(shlex.quote, sys.argv[1:])]),
        "commit": commit_of(Path(__file__).resolve().parents[2]),
        "machine": f"{_processor()}, {usable_cores()} cores, {platform.system()}",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def usable_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit_of(root: Path) -> str:
    """Returns the commit of a checkout, or "unknown" without one.

    The suffix "-dirty" marks changed files. Files under `results` do not count, because comparisons write them.
    """
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return "unknown"

    def output_of(*arguments: str) -> str:
        call = [git, "-C", str(root), *arguments]
        return subprocess.run(call, capture_output=True, text=True, timeout=10, check=True).stdout.strip()  # noqa: S603

    try:
        changed = output_of("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)results")
        return output_of("rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")
    except (subprocess.SubprocessError, OSError):
        return "unknown"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
