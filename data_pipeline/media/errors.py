"""The error of a video that cannot be used."""

from data_pipeline.command import InputError


class MediaError(InputError):
    """A video that cannot be used.

    Attributes:
        reason: Kind of fault in a few words, by which faults are counted.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        # Exceptions are pickled by the arguments of their constructor.
        return type(self), (self.reason, str(self))
