"""Claims, by which processes on one or several machines that share a folder take different runs.

A claim is a file `<name>.<number>`, of which the greatest number counts. It is created exclusively, so only one
process gets it. No process removes another's claim: to take over a dead one, it creates the file with the next number.
The owner touches its file regularly. Ages are measured by the file system's clock, so machines' clocks need not agree.
"""

import dataclasses
import json
import os
import socket
import time
import uuid
from pathlib import Path
from typing import Any

from data_pipeline.atomic import write_atomically

BEAT_SECONDS = 20.0


class Claim:
    """A name that this process holds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beaten = time.monotonic()

    def note_child(self, pid: int) -> None:
        """Records a child process, which may outlive this one for a moment."""
        self._note(child=_process(pid))

    def beat(self) -> bool:
        """Touches the file, at most every `BEAT_SECONDS`; returns False when another process took over the name."""
        if time.monotonic() - self._beaten >= BEAT_SECONDS:
            self._beaten = time.monotonic()
            try:
                os.utime(self._path)
            except FileNotFoundError:
                return False
            name, number = _split(self._path)
            return not self._path.with_name(f"{name}.{number + 1}").exists()
        return True

    def release(self) -> None:
        """Releases the name."""
        self._note(released=True)

    def _note(self, **facts: Any) -> None:
        facts = json.loads(self._path.read_text(encoding="utf-8")) | facts
        write_atomically(self._path, json.dumps(facts) + "\n", shared=True)


@dataclasses.dataclass(frozen=True)
class Claims:
    """The claims of one folder.

    Attributes:
        folder: Folder of the claims, created when missing.
        takeover_seconds: Age at which another machine's untouched claim is dead. A claim of this machine is dead as
            soon as its processes are.
    """

    folder: Path
    takeover_seconds: float

    def take(self, name: str) -> Claim | None:
        """Claims a name; returns None when another process holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = 0
        latest = self._latest(name)
        if latest is not None:
            if self._held(latest):
                return None
            number = _split(latest)[1]
        path = self.folder / f"{name}.{number + 1}"
        facts = json.dumps(_process(os.getpid()) | {"time": time.time()}) + "\n"
        return Claim(path) if _make(path, facts) else None

    def held(self) -> list[str]:
        """Returns the names that any process holds."""
        names = {_split(path)[0] for path in self.folder.glob("[!.]*")}
        return sorted(name for name in names for path in [self._latest(name)] if path and self._held(path))

    def _latest(self, name: str) -> Path | None:
        found = [path for path in self.folder.glob("[!.]*") if _split(path)[0] == name]
        return max(found, key=lambda path: _split(path)[1], default=None)

    def _held(self, path: Path) -> bool:
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            touched = path.stat().st_mtime
        except FileNotFoundError:
            return False
        except ValueError:  # created without a link, and not yet written
            facts, touched = {}, path.stat().st_mtime
        if facts.get("released"):
            return False
        if facts.get("machine") == machine():
            return any(_lives(process) for process in (facts, facts.get("child")) if process)
        return self._now() - touched < self.takeover_seconds

    def _now(self) -> float:
        """Returns the time of the file system's clock."""
        probe = self.folder / f".now.{uuid.uuid4().hex}"
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink()


def _make(path: Path, text: str) -> bool:
    """Creates a file atomically; returns False when it exists."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_text(text, encoding="utf-8")
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links; a kill within the next lines leaves an empty file
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            return False
    finally:
        temporary.unlink()
    return True


def machine() -> str:
    """Returns an identifier of this machine and container, within which process ids are valid."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(os.readlink(path) if "/ns/" in path else Path(path).read_text(encoding="utf-8").strip())
        except OSError:
            continue
    return " ".join(parts)


def _process(pid: int) -> dict[str, Any]:
    return {"machine": machine(), "pid": pid, "started": _started(pid)}


def _started(pid: int) -> str:
    """Returns the start time of a process in kernel ticks; its id may have been reused."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _lives(process: dict[str, Any]) -> bool:
    try:
        os.kill(int(process["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _started(int(process["pid"])) == process["started"] and not _is_dead_child(int(process["pid"]))


def _is_dead_child(pid: int) -> bool:
    """Returns whether a process is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def _split(path: Path) -> tuple[str, int]:
    name, _, number = path.name.rpartition(".")
    return name, int(number) if number.isdecimal() else 0
