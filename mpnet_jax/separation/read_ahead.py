"""Work in a thread while its results are used."""

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")
_WAIT_S = 0.1


@contextlib.contextmanager
def read_ahead(items: Iterable[Item], most: int) -> Iterator[Iterator[Item]]:
    """The items, made in a thread, at most so many ahead; at the end of the block the thread has ended.

    What the thread raises is raised where its next item is asked for.
    """
    made: queue.Queue[tuple[str, Any]] = queue.Queue(most)
    ended = threading.Event()
    thread = threading.Thread(target=_make, args=(items, made, ended), daemon=True)
    thread.start()
    try:
        yield _taken(made)
    finally:
        ended.set()
        thread.join()


def _make(items: Iterable[Any], made: "queue.Queue[tuple[str, Any]]", ended: threading.Event) -> None:
    def put(kind: str, item: Any) -> None:
        while not ended.is_set():
            with contextlib.suppress(queue.Full):
                made.put((kind, item), timeout=_WAIT_S)
                return

    try:
        for item in items:
            put("item", item)
            if ended.is_set():
                return
        put("end", None)
    except BaseException as error:  # noqa: BLE001
        put("error", error)


def _taken(made: "queue.Queue[tuple[str, Any]]") -> Iterator[Any]:
    while True:
        kind, item = made.get()
        if kind == "end":
            return
        if kind == "error":
            raise item
        yield item
