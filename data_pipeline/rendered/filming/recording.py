"""Imitates what a camera and a compression do to frames: light, colours, blur, noise, resolution, JPEG artefacts."""

import dataclasses
import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from data_pipeline.rendered.filming.overlay import Overlay
from data_pipeline.rendered.filming.ranges import SceneRanges

_BLUR_SHARE = 0.25
_MOTION_SHARE = 0.3
_SATURATION_SHARE = 0.35
_VIGNETTE_SHARE = 0.3
_NOISE_SHARE = 0.55
_NOISE_MARGIN_PX = 64
_GREY = 128

Record = Callable[[Image.Image, Overlay], Image.Image]


@dataclasses.dataclass(frozen=True)
class Recording:
    """Faults of a recording, equal for all frames of a solo.

    Attributes:
        levels: Level of each channel after light, colour and contrast, 768 values.
        saturation: Factor of the saturation; None leaves it.
        blur_px: Radius of the blur of the lens; 0 for none.
        trail: Share of the frame before in a frame, as a long exposure has it; 0 for none.
        shadow: RGB image that multiplies the frame, darker at the edges; None for none.
        grain: RGB noise around `_GREY`, larger than the frame; None for none.
        small_px: Resolution to which frames are reduced; None leaves it.
        quality: JPEG quality; None leaves out the compression.
        seed: Seed of the noise's position in each frame.
    """

    levels: list[int]
    saturation: float | None
    blur_px: float
    trail: float
    shadow: Image.Image | None
    grain: Image.Image | None
    small_px: int | None
    quality: int | None
    seed: int

    def start(self) -> Record:
        """Returns a function that records the frames of a video, one after the other."""
        rng = np.random.default_rng(self.seed)
        before: Image.Image | None = None

        def record(picture: Image.Image, overlay: Overlay) -> Image.Image:
            nonlocal before
            if self.trail:
                sharp = picture
                picture = Image.blend(picture, before, self.trail) if before else picture
                before = sharp
            picture = self._expose(picture, rng)
            if overlay.layer is not None:
                picture.paste(overlay.layer, mask=overlay.layer)
            return self._compress(picture)

        return record

    def _expose(self, picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        if self.blur_px:
            picture = picture.filter(ImageFilter.BoxBlur(self.blur_px))
        if self.shadow is not None:
            picture = ImageChops.multiply(picture, self.shadow)
        picture = picture.point(self.levels)
        if self.saturation is not None:
            picture = ImageEnhance.Color(picture).enhance(self.saturation)
        if self.grain is not None:
            x, y = rng.integers(0, _NOISE_MARGIN_PX, 2).tolist()
            noise = self.grain.crop((x, y, x + picture.width, y + picture.height))
            picture = ImageChops.add(picture, noise, offset=-_GREY)
        return picture

    def _compress(self, picture: Image.Image) -> Image.Image:
        size = picture.size
        if self.small_px:
            picture = picture.resize((self.small_px, self.small_px), Image.Resampling.BILINEAR)
        if self.quality:
            content = io.BytesIO()
            picture.save(content, "JPEG", quality=self.quality)
            picture = Image.open(content, formats=("JPEG",)).convert("RGB")
        return picture.resize(size, Image.Resampling.BILINEAR) if self.small_px else picture


def choose_recording(rng: np.random.Generator, ranges: SceneRanges, *, size_px: int) -> Recording:
    """Draws the faults of a recording.

    Args:
        rng: Random generator.
        ranges: Probabilities and strengths.
        size_px: Side of the frame.
    """
    light = rng.random()
    dark, bright = light < ranges.dark, light > 1 - ranges.bright
    noise = float(rng.uniform(0.2, 1) * ranges.noise * (2 if dark else 1)) if rng.random() < _NOISE_SHARE else 0.0
    return Recording(
        levels=_choose_levels(rng, dark=dark, bright=bright),
        saturation=_choose_saturation(rng),
        blur_px=float(rng.uniform(0.5, 2.5)) if rng.random() < _BLUR_SHARE else 0.0,
        trail=float(rng.uniform(0.2, 0.5)) if rng.random() < _MOTION_SHARE else 0.0,
        shadow=_draw_vignette(rng, size_px) if rng.random() < _VIGNETTE_SHARE else None,
        grain=_draw_grain(rng, noise, size_px) if noise else None,
        small_px=round(float(rng.uniform(*ranges.small_px))) if rng.random() < ranges.small else None,
        quality=round(float(rng.uniform(*ranges.quality))) if rng.random() < ranges.compressed else None,
        seed=int(rng.integers(2**32)),
    )


def _choose_levels(rng: np.random.Generator, *, dark: bool, bright: bool) -> list[int]:
    gain = rng.uniform(0.35, 0.6) if dark else rng.uniform(1.5, 2.3) if bright else rng.uniform(0.85, 1.35)
    bend = float(np.exp2(rng.uniform(-0.5, 0.5)))
    warmth = rng.normal(0, 0.14)
    gains = gain * np.exp2([warmth, rng.normal(0, 0.05), -warmth])
    contrast, black = rng.uniform(0.7, 1.25), rng.uniform(0, 30)
    levels = np.arange(256) / 255
    curves = [np.clip((levels**bend * g - 0.5 * gain) * contrast + 0.5 * gain, 0, 1) for g in gains]
    return np.concatenate([curve * (255 - black) + black for curve in curves]).round().astype(int).tolist()


def _choose_saturation(rng: np.random.Generator) -> float | None:
    if rng.random() >= _SATURATION_SHARE:
        return None
    return 0.0 if rng.random() < 0.12 else float(rng.uniform(0.3, 1.6))


def _draw_vignette(rng: np.random.Generator, size_px: int) -> Image.Image:
    axis = np.linspace(-1, 1, size_px)
    distance = axis[None, :] ** 2 + axis[:, None] ** 2
    light = 1 - rng.uniform(0.1, 0.4) * distance
    return Image.fromarray(np.clip(255 * light, 0, 255).astype(np.uint8)).convert("RGB")


def _draw_grain(rng: np.random.Generator, strength: float, size_px: int) -> Image.Image:
    side = size_px + _NOISE_MARGIN_PX
    grey, colour = rng.standard_normal((side, side, 1)), rng.standard_normal((side, side, 3))
    noise = strength * (0.8 * grey + 0.6 * colour)
    return Image.fromarray(np.clip(_GREY + noise, 0, 255).round().astype(np.uint8))
