"""Prefetches the items of an iterable in a thread."""

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")
_WAIT_S = 0.1


@contextlib.contextmanager
def read_ahead(items: Iterable[Item], most: int) -> Iterator[Iterator[Item]]:
    """Yields an iterator over the items, which a thread produces ahead of their use.

    The thread has ended when the context ends. An exception in the thread is raised by the iterator.

    Args:
        items: The items; only the thread iterates over them.
        most: Maximum number of items that wait.
    """
    results: queue.Queue[tuple[str, Any]] = queue.Queue(most)
    ended = threading.Event()
    thread = threading.Thread(target=_make, args=(items, results, ended), daemon=True)
    thread.start()
    try:
        yield _received(results)
    finally:
        ended.set()
        thread.join()


def _make(items: Iterable[Any], results: "queue.Queue[tuple[str, Any]]", ended: threading.Event) -> None:
    def put(kind: str, item: Any) -> None:
        while not ended.is_set():
            with contextlib.suppress(queue.Full):
                results.put((kind, item), timeout=_WAIT_S)
                return

    try:
        for item in items:
            put("item", item)
            if ended.is_set():
                return
        put("end", None)
    except BaseException as error:  # noqa: BLE001
        put("error", error)


def _received(results: "queue.Queue[tuple[str, Any]]") -> Iterator[Any]:
    while True:
        kind, item = results.get()
        if kind == "end":
            return
        if kind == "error":
            raise item
        yield item
