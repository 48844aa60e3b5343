"""Decoded pictures kept in memory, because decoding takes most of the time of a mixture."""

import threading
from collections.abc import Hashable

import numpy as np

_SLAB_BYTES = 64 << 20  # memory is taken in pieces as it is needed


class PictureCache:
    """Keeps the first pictures that it is given, until it is full; used by several threads.

    Nothing is ever thrown out: where each picture is drawn as often as any other, no rule of throwing out finds more.

    Args:
        max_bytes: of the pictures together, in slabs of 64 MiB; 0 keeps none.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._slabs: list[np.ndarray] = []
        self._used = _SLAB_BYTES  # bytes of the last slab
        self._pictures: dict[Hashable, np.ndarray] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of pictures kept."""
        return len(self._pictures)

    def get(self, key: Hashable) -> np.ndarray | None:
        """A picture, uint8 (height, width, 3); None when it is not kept."""
        return self._pictures.get(key)

    def put(self, key: Hashable, picture: np.ndarray) -> None:
        """Keeps a copy of a picture, uint8 (height, width, 3), while there is room."""
        with self._lock:
            if key in self._pictures or (room := self._room(picture.size)) is None:
                return
        kept = room.reshape(picture.shape)
        kept[...] = picture
        self._pictures[key] = kept

    def _room(self, size: int) -> np.ndarray | None:
        if self._used + size > _SLAB_BYTES:
            if size > _SLAB_BYTES or (len(self._slabs) + 1) * _SLAB_BYTES > self._max_bytes:
                return None
            self._slabs.append(np.empty(_SLAB_BYTES, np.uint8))
            self._used = 0
        self._used += size
        return self._slabs[-1][self._used - size : self._used]
