"""Keeps the last separations open, so that the sound of a place is computed at once."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from mpnet_jax.demo.library import Library, SeparationLike
from mpnet_jax.demo.store import Record, Store

_MOST = 3
_Answer = TypeVar("_Answer")


class Opened:
    """Opens saved separations; each is used by one thread at a time.

    Args:
        store: Where the results are.
        library: Reads them.
    """

    def __init__(self, store: Store, library: Library) -> None:
        self._store, self._library, self._lock = store, library, threading.Lock()
        self._open: OrderedDict[str, SeparationLike] = OrderedDict()

    def ask(self, record: Record, question: Callable[[SeparationLike], _Answer]) -> _Answer:
        """Returns the answer of a function to which the record's separation is given."""
        with self._lock:
            if record.id not in self._open:
                self._open[record.id] = self._library.load(self._store.path(record, "separation"))
                while len(self._open) > _MOST:
                    self._open.popitem(last=False)[1].close()
            self._open.move_to_end(record.id)
            return question(self._open[record.id])

    def forget(self, record: Record) -> None:
        """Closes the separation of a record."""
        with self._lock:
            separation = self._open.pop(record.id, None)
            if separation is not None:
                separation.close()

    def close(self) -> None:
        """Closes all."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()


def audible(values: Any) -> list[float]:
    """Returns fractions as a list with four decimals."""
    return [round(float(value), 4) for value in values]
