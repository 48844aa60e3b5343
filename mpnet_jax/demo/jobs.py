"""The queue of separations: one runs at a time, in a thread of its own, and the others wait."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from absl import logging

from data_pipeline import command
from mpnet_jax.demo.store import DONE, FAILED, RUNNING, WAITING, Record, Store

_EARLY = 0.03  # Below this fraction there is no estimate of the remaining time.


class JobStoppedError(Exception):
    """Ends a job that was cancelled, or whose server stops."""


class Report:
    """Receives the progress of a job, and stops it by an exception if it was cancelled."""

    def __init__(self) -> None:
        self.phase, self.fraction, self.stopped = "Starting", 0.0, threading.Event()
        self._since: tuple[float, float] | None = None

    def __call__(self, phase: str, fraction: float) -> None:
        """Records the progress.

        Args:
            phase: What is being done.
            fraction: Fraction of the whole job, from 0 to 1.

        Raises:
            JobStoppedError: The job was cancelled.
        """
        if self.stopped.is_set():
            raise JobStoppedError
        self.phase, self.fraction = phase, min(max(fraction, 0.0), 1.0)
        # The clock starts with the first progress: loading the model says nothing about the speed.
        if self._since is None and fraction > 0.0:
            self._since = time.monotonic(), fraction

    @property
    def remaining_s(self) -> float | None:
        """Estimated seconds to the end; None at the beginning."""
        if self._since is None or self.fraction < self._since[1] + _EARLY:
            return None
        return (time.monotonic() - self._since[0]) * (1.0 - self.fraction) / (self.fraction - self._since[1])


class Jobs:
    """Runs jobs one after the other.

    Args:
        store: Where the records are.
        work: Separates the video of a record; calls the report often, and leaves the exceptions of the report alone.
        removed: Called with a record that is about to be deleted.
    """

    def __init__(
        self, store: Store, work: Callable[[Record, Report], None], removed: Callable[[Record], object]
    ) -> None:
        self._store, self._work, self._removed = store, work, removed
        self._queue: deque[Record] = deque()
        self._running: tuple[Record, Report] | None = None
        self._changed, self._stopping = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="separations")

    def start(self) -> None:
        """Starts the thread; videos that waited when the server stopped are separated first."""
        for record in reversed(self._store.records()):
            if record.state == WAITING:
                self._queue.append(record)
        self._thread.start()

    def stop(self) -> None:
        """Stops the running job, which will be repeated when the server starts again, and ends the thread."""
        with self._changed:
            self._stopping = True
            if self._running is not None:
                self._running[1].stopped.set()
            self._changed.notify_all()
        self._thread.join()

    def add(self, record: Record) -> None:
        """Appends a record to the queue."""
        with self._changed:
            self._queue.append(record)
            self._changed.notify_all()

    def remove(self, record: Record) -> None:
        """Deletes a record; if it waits or is being separated, it is cancelled first."""
        with self._changed:
            if self._running is not None and self._running[0].id == record.id:
                self._running[1].stopped.set()
                return  # The thread deletes it as soon as it has stopped.
            if record in self._queue:
                self._queue.remove(record)
        self._removed(record)
        self._store.delete(record)

    def progress(self, record: Record) -> dict[str, Any]:
        """Returns the JSON-ready `state`, `error`, `ahead`, `phase`, `fraction` and `remaining_s` of a record."""
        with self._changed:
            running = self._running
            ahead = None
            if record in self._queue:
                ahead = list(self._queue).index(record) + (running is not None)
        found: dict[str, Any] = {"state": record.state, "error": record.error, "ahead": ahead}
        found |= {"phase": None, "fraction": None, "remaining_s": None}
        if running is not None and running[0].id == record.id:
            report = running[1]
            phase = "Cancelling" if report.stopped.is_set() else report.phase
            remaining = report.remaining_s
            found |= {"phase": phase, "fraction": round(report.fraction, 3)}
            found |= {"remaining_s": None if remaining is None else round(remaining)}
        return found

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                record, report = self._queue.popleft(), Report()
                record.state, record.error = RUNNING, None
                self._running = record, report
            self._attempt(record, report)
            with self._changed:
                self._running = None
                # A job may also be cancelled in its very last moment.
                cancelled = report.stopped.is_set() and not self._stopping
            if cancelled:
                self._removed(record)
                self._store.delete(record)

    def _attempt(self, record: Record, report: Report) -> None:
        """Runs one job and records how it ended."""
        try:
            self._store.save(record)
            self._work(record, report)
            record.state = DONE
        except JobStoppedError:
            record.state = WAITING
        except Exception as error:  # noqa: BLE001 the server outlives every video
            record.state, record.error = FAILED, self._sentence(error, record)
        try:
            self._store.save(record)
        except OSError as error:
            logging.error("the state of %s cannot be written: %s", record.id, error.strerror)

    def _sentence(self, error: BaseException, record: Record) -> str:
        """Returns the reason of a failure for the page, in which the video has the name that the user knows."""
        explained = command.explain(error)
        if explained is None:
            logging.exception("the separation of %s failed", record.id)
            return "The separation failed by an unexpected error, which the server's terminal shows."
        sentence = explained[0].strip().removeprefix("error: ").replace("--video=", "")
        sentence = sentence.replace(str(self._store.path(record, "video")), record.title)
        return sentence[:1].upper() + sentence[1:] + ("" if sentence.endswith(".") else ".")
