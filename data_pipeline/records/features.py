"""Features of stored frames that a frozen network computed once, kept in files beside the data set.

A folder holds the features of one split by one network, at one size and with one set of crops; all of that is in its
name. It consists of pieces, each written under a temporary name first, so a kill loses at most the piece in work.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.atomic import atomic_file, write_atomically
from data_pipeline.command import InputError
from data_pipeline.mixing import SourcePlan
from data_pipeline.records.class_features import ClassFeatures
from data_pipeline.records.store import RecordStore
from data_pipeline.spec import FeatureSpec

PIECE = 256  # frames in a file
_ABOUT = "about.json"


@dataclasses.dataclass(frozen=True)
class View:
    """One crop of one stored frame.

    Attributes:
        clip: Index of the record.
        frame: Index of the frame in the record.
        crop: Position of the crop, (down, right), each from 0 (top or left) to 1.
        flip: Whether the crop is mirrored.
    """

    clip: int
    frame: int
    crop: tuple[float, float]
    flip: bool


class KeptFeatures:
    """The kept features of one split.

    Args:
        store: The split.
        spec: Which features are kept.
        folder: Folder of all kept features; None takes `features` beside the records.

    Attributes:
        folder: Folder of this split's pieces.
        of_classes: Features that take the place of those of frames for a source with `SourcePlan.seen`; None for none.
    """

    def __init__(self, store: RecordStore, spec: FeatureSpec, folder: Path | None = None) -> None:
        self.spec = spec
        self._stride = max(1, round(spec.seconds * store.spec.fps))
        counts = [-(-clip.frames // self._stride) for clip in store.clips]
        self._first = np.concatenate([[0], np.cumsum(counts)])
        outlines = [[clip.video_id, clip.chunk, clip.frames] for clip in store.clips]
        self._records = hashlib.sha256(json.dumps(outlines).encode()).hexdigest()
        self.folder = (folder or store.folder / "features") / spec.folder / f"{store.split}_{self._records[:8]}"
        self._pieces: dict[int, np.ndarray] = {}
        self._labels = [clip.label for clip in store.clips]
        self.of_classes: ClassFeatures | None = None

    def __len__(self) -> int:
        """Returns the number of frames whose features are kept."""
        return int(self._first[-1])

    @property
    def missing(self) -> list[int]:
        """Numbers of the pieces that are not made yet."""
        return [piece for piece in range(-(-len(self) // PIECE)) if not self._path(piece).is_file()]

    def frames_of(self, piece: int) -> list[list[View]]:
        """Returns the views of each frame of a piece."""
        numbers = np.arange(piece * PIECE, min((piece + 1) * PIECE, len(self)))
        clips = np.searchsorted(self._first, numbers, side="right") - 1
        frames = (numbers - self._first[clips]) * self._stride
        return [self._views(int(clip), int(frame)) for clip, frame in zip(clips, frames, strict=True)]

    def _views(self, clip: int, frame: int) -> list[View]:
        rng = np.random.default_rng([clip, frame])
        places = rng.uniform(size=(self.spec.views, 2))
        return [
            View(clip, frame, (float(down), float(right)) if number else (0.5, 0.5), flip=number % 2 == 1)
            for number, (down, right) in enumerate(places)
        ]

    def write(self, piece: int, features: np.ndarray) -> None:
        """Writes a piece.

        Args:
            piece: Its number.
            features: float16 (frame, view, h, w, channel); h and w are 1 for pooled features.

        Raises:
            InputError: The folder cannot be written, or the disk is full.
        """
        try:
            with atomic_file(self._path(piece), shared=True) as draft, draft.open("wb") as file:
                np.save(file, features.astype(np.float16), allow_pickle=False)
        except OSError as error:
            raise InputError(
                f"cannot keep features in {self.folder} ({error.strerror}); free some space, or name another folder in "
                "config.data.feature_directory; what is already kept is used again"
            ) from None

    def finish(self) -> None:
        """Notes beside the pieces what they are, for a reader of the folder."""
        if not (self.folder / _ABOUT).is_file():
            facts = dataclasses.asdict(self.spec) | {"frames": len(self), "records": self._records}
            write_atomically(self.folder / _ABOUT, json.dumps(facts, indent=2) + "\n", shared=True)

    def shape(self) -> tuple[int, ...]:
        """Returns the shape of one view's features, (h, w, channel)."""
        return self._piece(0).shape[2:]

    def mean(self) -> np.ndarray:
        """Returns the mean features over the first frames, all their views and places, float32 (channel,)."""
        return self._piece(0).mean((0, 1, 2, 3), dtype=np.float32)

    def read(self, plan: SourcePlan, numbers: np.ndarray, out: np.ndarray) -> None:
        """Reads the features of a window's frames, each of the nearest frame that has any.

        Args:
            plan: The window. The crop that it plans chooses one of the views.
            numbers: Indices of the frames in the record.
            out: Result, float16 (frame, h, w, channel).

        Raises:
            InputError: A piece cannot be read.
        """
        label = self._labels[plan.clip]
        if plan.seen is not None and self.of_classes is not None and self.of_classes.known(label):
            self.of_classes.write(label, plan.seen, out)
            return
        first, last = self._first[plan.clip], self._first[plan.clip + 1] - 1
        places = np.minimum(first + np.rint(numbers / self._stride).astype(np.int64), last)
        view = 0 if plan.crop == (0.5, 0.5) else min(int(plan.crop[0] * self.spec.views), self.spec.views - 1)
        for n, place in enumerate(places.tolist()):
            piece, within = divmod(place, PIECE)
            out[n] = self._piece(piece)[within, view]

    def _path(self, piece: int) -> Path:
        return self.folder / f"{piece:05d}.npy"

    def _piece(self, piece: int) -> np.ndarray:
        """Returns a piece, mapped into memory at its first use."""
        if piece not in self._pieces:
            path = self._path(piece)
            frames = min(PIECE, len(self) - piece * PIECE)
            try:
                array: Any = np.load(path, mmap_mode="r", allow_pickle=False)
                if array.dtype != np.float16 or array.ndim != 5 or array.shape[:2] != (frames, self.spec.views):
                    raise ValueError(f"it holds {array.dtype} {array.shape}")
            except (OSError, ValueError, EOFError) as error:
                raise InputError(
                    f"{path} holds no features ({error}); delete it and give the same command, and it is made again"
                ) from None
            self._pieces[piece] = array
        return self._pieces[piece]
