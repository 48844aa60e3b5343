"""Ctrl-C and SIGTERM as a request to stop after the step under way."""

import signal
import types


class StopRequest:
    """Notes SIGINT and SIGTERM while in a `with` block; a second one stops at once.

    Attributes:
        signal_name: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None
        self._number = 0
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]

    def _note(self, number: int, _: types.FrameType | None) -> None:
        if self.signal_name is not None:
            raise KeyboardInterrupt
        self.signal_name = signal.Signals(number).name
        self._number = number

    @property
    def exit_status(self) -> int:
        """Status by the shell's convention: 128 plus the signal's number."""
        return 128 + self._number
