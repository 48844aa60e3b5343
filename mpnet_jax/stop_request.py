"""Ctrl-C, SIGTERM and SIGUSR1 as a request to stop after the step under way."""

import signal
import types

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # the last is what SLURM can be told to send


class StopRequest:
    """Notes the signals while in a `with` block; a second one stops at once.

    Attributes:
        number: of the signal that came; 0 when none did.
    """

    def __init__(self) -> None:
        self.number = 0
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]

    def _note(self, number: int, _: types.FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number

    @property
    def signal_name(self) -> str | None:
        """The signal that came, or None."""
        return signal.Signals(self.number).name if self.number else None

    @property
    def exit_status(self) -> int:
        """Status by the shell's convention: 128 plus the signal's number."""
        return 128 + self.number
