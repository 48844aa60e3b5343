"""The loader's peer: mixtures from wav and jpg files by a plain PyTorch `DataLoader`.

It uses the usual tools of the field: a map-style data set, librosa for sound, Pillow for pictures, and normalised
pictures as output. It makes the same mixtures by the same rules as `data_pipeline.loader`, which leaves the
normalisation to the accelerator; with `as_bytes` the peer does so, too.
"""

import dataclasses
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from PIL import Image
from torch.utils.data import DataLoader, Dataset, RandomSampler  # pyright: ignore[reportMissingImports]

from benchmarks.harness.solo_files import LIST_FILE, Solo
from data_pipeline.spec import AudioSpec, FrameSpec

LEVEL = 0.1  # root mean square of a complete solo, full scale 1
# ImageNet's values per channel, which the paper's frame network expects.
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
DEVIATION = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


@dataclasses.dataclass(frozen=True)
class Choice:
    """One source of a mixture.

    Attributes:
        solo: Index in the list of solos.
        start: First sample of the window.
        gain: Linear gain.
        crop: Position of the crop (vertical, horizontal), from 0 to 1.
        flip: Whether to mirror the pictures.
    """

    solo: int
    start: int
    gain: float
    crop: tuple[float, float]
    flip: bool


class Mixtures(Dataset):
    """Random mixtures of two solos.

    Args:
        folder: Folder of the solos and their list.
        audio: Window and transform.
        frames: Pictures per source.
        as_bytes: Return uint8 pictures (source, frame, height, width, 3) instead of normalised float32 pictures
            (source, frame, 3, height, width).

    Attributes:
        seconds: CPU time of this process by stage.
    """

    def __init__(self, folder: Path, audio: AudioSpec, frames: FrameSpec, *, as_bytes: bool = False) -> None:
        self.solos = [Solo(**row) for row in json.loads((folder / LIST_FILE).read_text(encoding="utf-8"))]
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._folder = folder
        self._audio = audio
        self._frames = frames
        self._as_bytes = as_bytes

    def __len__(self) -> int:
        """Returns the length of an epoch, which uses each solo a hundred times, as in the paper."""
        return 100 * len(self.solos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns a random mixture whose first sound is from solo `index % len(solos)`."""
        started = time.process_time()
        choices = self._draw(index % len(self.solos))
        self.seconds["plan"] += time.process_time() - started
        return self.mix(choices)

    def mix(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """Returns the arrays of one mixture, as `data_pipeline.loader.training_batches` makes them for a batch."""
        clocks = [time.process_time()]
        sounds = [choice.gain * self._sound(choice) for choice in choices]
        clocks.append(time.process_time())
        pictures: Any = [self._pictures(choice) for choice in choices]
        pictures = np.stack(pictures) if self._as_bytes else torch.stack(pictures)
        clocks.append(time.process_time())
        mixture = self._magnitude(sum(sounds[1:], sounds[0]))
        sources = np.stack([self._magnitude(sound) for sound in sounds])
        clocks.append(time.process_time())
        for stage, taken in zip(("sound", "pictures", "stft"), np.diff(clocks).tolist(), strict=True):
            self.seconds[stage] += taken
        return {"mixture_magnitude": mixture, "source_magnitude": sources, "frames": pictures}

    def _draw(self, first: int) -> list[Choice]:
        others = [n for n, solo in enumerate(self.solos) if solo.label != self.solos[first].label]
        return [self._choose(first), self._choose(others[int(torch.randint(len(others), ()).item())])]

    def _choose(self, number: int) -> Choice:
        solo = self.solos[number]
        down, right, gain, flip = torch.rand(4).tolist()
        start = int(torch.randint(solo.samples - self._audio.clip_samples + 1, ()).item())
        return Choice(number, start, (0.5 + gain) * LEVEL / solo.rms, (down, right), flip < 0.5)

    def _sound(self, choice: Choice) -> np.ndarray:
        path = self._folder / self.solos[choice.solo].folder / "sound.wav"
        rate, length = self._audio.rate_hz, self._audio.clip_samples
        # librosa rounds down from seconds to samples; half a sample more gives the intended ones.
        sound, _ = librosa.load(path, sr=rate, offset=(choice.start + 0.5) / rate, duration=(length + 0.5) / rate)
        return sound

    def _pictures(self, choice: Choice) -> Any:
        solo, audio, frames = self.solos[choice.solo], self._audio, self._frames
        middles = (np.arange(frames.count) + 0.5) / frames.count  # of equal parts of the window
        seconds = choice.start / audio.rate_hz + middles * audio.clip_seconds
        side, pictures = frames.crop_px, []
        for number in np.minimum(np.floor(seconds * solo.fps).astype(int), solo.pictures - 1):
            with Image.open(self._folder / solo.folder / f"{number:05d}.jpg") as opened:
                picture = opened.convert("RGB")
            left, top = (int(c * (room - side + 1)) for c, room in zip(choice.crop[::-1], picture.size, strict=True))
            picture = picture.crop((left, top, left + side, top + side))
            if choice.flip:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            pictures.append(np.array(picture) if self._as_bytes else _normalised(np.array(picture)))
        return np.stack(pictures) if self._as_bytes else torch.stack(pictures)

    def _magnitude(self, sound: np.ndarray) -> np.ndarray:
        audio = self._audio
        pad_mode: Any = audio.pad_mode
        return np.abs(librosa.stft(sound, n_fft=audio.fft_samples, hop_length=audio.hop_samples, pad_mode=pad_mode))


def _normalised(picture: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(picture).permute(2, 0, 1).contiguous().float().div_(255) - MEAN) / DEVIATION


def endless_batches(mixtures: Mixtures, *, batch_size: int, workers: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yields training batches forever.

    Args:
        mixtures: Data set.
        batch_size: Mixtures per batch.
        workers: Worker processes; 0 uses this process, which is faster on one core.
    """
    loader = DataLoader(
        mixtures,
        batch_size=batch_size,
        sampler=RandomSampler(mixtures, replacement=True, num_samples=2**31),
        num_workers=workers,
        drop_last=True,
    )
    yield from loader
