"""Ctrl-C, SIGTERM and SIGUSR1 as a request to stop after the step under way."""

import signal
import types

from data_pipeline.command import StopSignal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # the last is what SLURM can be told to send


class StopRequest:
    """Notes the signals while in a `with` block.

    A second Ctrl-C stops at once. A second signal of another kind does not: whoever manages a cluster may send one to a
    process and to its group, and what is being saved counts more.

    Args:
        at_once: as the attribute.

    Attributes:
        number: of the signal that came first; 0 when none did.
        at_once: while True, there is nothing to save, and the first signal raises `StopSignal`.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.number = 0
        self.at_once = at_once
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]

    def _note(self, number: int, _: types.FrameType | None) -> None:
        again = self.number > 0
        self.number = self.number or number
        if number == signal.SIGINT if again else self.at_once:
            raise StopSignal(number)

    @property
    def signal_name(self) -> str | None:
        """The signal that came, or None."""
        return signal.Signals(self.number).name if self.number else None

    @property
    def exit_status(self) -> int:
        """Status by the shell's convention: 128 plus the signal's number."""
        return 128 + self.number
