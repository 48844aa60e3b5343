"""What the demo accepts, and the error that says why it refuses something."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of the demo.

    Attributes:
        upload_bytes: Largest video.
        seconds: Longest video; the page holds all sounds in memory, 0.35 MB for a second of stereo in each row.
        results: Most results that the folder holds.
        uploads: Most uploads at the same time.
        stalled_s: An upload that sends nothing for so long is dropped.
        free_bytes: What remains free on the disk.
    """

    upload_bytes: int = 2_000_000_000
    seconds: float = 600.0
    results: int = 50
    uploads: int = 4
    stalled_s: float = 60.0
    free_bytes: int = 200_000_000


class RefusalError(Exception):
    """A request that is refused.

    Args:
        status: HTTP status.
        sentence: The reason and the remedy, for the user.
        close: Whether the connection is closed, because the client goes on sending.
    """

    def __init__(self, status: int, sentence: str, *, close: bool = False) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.close = status, sentence, close
