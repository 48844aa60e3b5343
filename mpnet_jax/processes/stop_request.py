"""Turns Ctrl-C, SIGTERM and SIGUSR1 into a request to stop after the current step."""

import signal
import types

from data_pipeline.command import StopSignal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # SLURM can send SIGUSR1 before the time limit


class StopRequest:
    """Records the stop signals that arrive in a `with` block.

    A second Ctrl-C stops at once. A second signal of another kind is ignored: a cluster may signal both a process and
    its group, and the checkpoint that is being written matters more.

    Args:
        at_once: Initial value of the attribute.

    Attributes:
        number: Number of the first signal; 0 if none has arrived.
        at_once: While True, there is nothing to save, and the first signal raises `StopSignal`.
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
        """Returns the name of the first signal, or None."""
        return signal.Signals(self.number).name if self.number else None

    @property
    def exit_status(self) -> int:
        """Returns the exit status by the shell's convention: 128 plus the signal's number."""
        return 128 + self.number
