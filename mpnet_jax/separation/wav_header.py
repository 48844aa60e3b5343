"""A sound file whose length was not known when it was begun: wide sizes become narrow ones where these hold it."""

import struct
from pathlib import Path

_MOST_BYTES = 2**32 - 1  # that the sizes of an ordinary WAV file can say
_RIFF_BYTES, _CHUNK_BYTES = 12, 8


def narrowed(path: Path) -> bool:
    """Makes an RF64 file an ordinary WAV in place, which more players know; the chunk of wide sizes becomes padding.

    Args:
        path: written whole by libsndfile, the samples in its last chunk.

    Returns:
        Whether it could be.
    """
    size = path.stat().st_size
    if size > _MOST_BYTES:
        return False
    with path.open("r+b") as file:
        kind, _, wave = struct.unpack("<4sI4s", file.read(_RIFF_BYTES))
        assert (kind, wave) == (b"RF64", b"WAVE"), path
        place = _RIFF_BYTES
        while (chunk := struct.unpack("<4sI", file.read(_CHUNK_BYTES)))[0] != b"data":
            if chunk[0] == b"ds64":
                file.seek(place)
                file.write(b"JUNK")
            place += _CHUNK_BYTES + chunk[1] + chunk[1] % 2
            file.seek(place)
        file.seek(place + 4)
        file.write(struct.pack("<I", size - place - _CHUNK_BYTES))
        file.seek(0)
        file.write(struct.pack("<4sI", b"RIFF", size - _CHUNK_BYTES))
    return True
