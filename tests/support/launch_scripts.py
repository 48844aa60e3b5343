"""Runs the launchers with programs on the PATH that only record how they were called."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.support.repository import ROOT

LAUNCH = ROOT / "launch"
FLAGS = ("--config=my configs/a.py", "--workdir=/share/my \"runs\"/$(HOME) & 'a'")
TPU = {"NAME": "mpnet", "ZONE": "us-central1-a", "PAUSE": "0"}
KUBERNETES = {"IMAGE": "registry/mpnet_jax:1", "CLAIM": "share"}

_NOTES = """#!{python}
import json, os, sys
from pathlib import Path
name = Path(sys.argv[0]).name
given = None if sys.stdin.isatty() or name != "kubectl" else sys.stdin.read()
with open({notes!r}, "a") as notes:
    notes.write(json.dumps({{"call": [name, *sys.argv[1:]], "stdin": given}}) + "\\n")
for path in sorted(Path({answers!r}).iterdir(), reverse=True):
    words, output, statuses, error = json.loads(path.read_text())
    if words in " ".join([name, *sys.argv[1:]]):
        sys.stdout.write(output)
        sys.stderr.write(error)
        status, *rest = statuses
        changed = Path(f"{{path.parent}}-{{os.getpid()}}")
        changed.write_text(json.dumps([words, output, rest or [status], error]))
        changed.replace(path)  # atomic, because another program may read it now
        sys.exit(status)
"""


class NotingPrograms:
    """Programs that record their calls instead of doing anything.

    Args:
        folder: Folder of the programs, placed first on the PATH.
        names: Names of the programs.

    Attributes:
        seconds: Timeout of a launcher.
    """

    seconds = 60.0

    def __init__(self, folder: Path, *names: str) -> None:
        self._notes, self._answers = folder / "notes.jsonl", folder / "answers"
        self._path = f"{folder}:{os.environ['PATH']}"
        self._answers.mkdir()
        for name in names:
            program = folder / name
            text = _NOTES.format(python=sys.executable, notes=str(self._notes), answers=str(self._answers))
            program.write_text(text)
            program.chmod(0o755)

    def answer(self, words: str, output: str = "", statuses: tuple[int, ...] = (0,), *, error: str = "") -> None:
        """Sets the output and the statuses of successive calls that contain the given words.

        The last status is repeated. If two answers match a call, the later one is used.
        """
        number = len(list(self._answers.iterdir()))
        (self._answers / f"{number:03d}").write_text(json.dumps([words, output, statuses, error]))

    def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a launcher with these programs on its PATH."""
        return run(script, *arguments, seconds=self.seconds, **({"PATH": self._path} | variables))

    def calls(self) -> list[list[str]]:
        """Returns all calls so far, as names with arguments."""
        return [note["call"] for note in self._lines()]

    def inputs(self) -> list[str | None]:
        """Returns the standard input of each call."""
        return [note["stdin"] for note in self._lines()]

    def _lines(self) -> list[dict]:
        return [json.loads(line) for line in self._notes.read_text().splitlines()] if self._notes.is_file() else []


def run(script: str, *arguments: str, seconds: float = 60, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a launcher."""
    # The caller's own variables, such as SLURM's or GPUS, must not have an effect.
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        ["bash", str(LAUNCH / script), *arguments],  # noqa: S607
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def calls_shown(shown: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """Returns the commands of a dry run, split as a shell would."""
    assert shown.returncode == 0, shown.stderr
    return [shlex.split(line) for line in shown.stdout.splitlines() if not line.startswith("#")]


def after(words: list[str], word: str) -> list[str]:
    return words[words.index(word) + 1 :]
