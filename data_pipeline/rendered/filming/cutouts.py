"""Makes a flat picture of an instrument look like a photographed object: perspective, relief, surface, highlight."""

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFilter

from data_pipeline.rendered.drawing.figure_picture import colour_if_silhouette
from data_pipeline.rendered.drawing.pen import Colour
from data_pipeline.rendered.filming import textures
from data_pipeline.rendered.filming.shaded_pen import MATERIAL_OF
from data_pipeline.rendered.pictures.raster import Cutout

_TURN = 0.14
_TEXTURES = {"wood": textures.wood, "metal": textures.metal, "lacquer": textures.lacquer}


def vary_cutout(cutout: Cutout, name: str, body: Colour, rng: np.random.Generator) -> Cutout:
    """Draws another view and other light of a picture.

    Args:
        cutout: The picture.
        name: Class name of the instrument, which gives the material.
        body: Colour of the drawn instrument, which a silhouette takes.
        rng: Random generator.
    """
    picture = colour_if_silhouette(cutout.image, body)
    if not cutout.card:
        picture = _shade(picture, rng, MATERIAL_OF[name])
    picture = _turn(picture, rng)
    bounds = picture.getchannel("A").point([0] * 9 + [255] * 247).getbbox()
    return Cutout(picture.crop(bounds), cutout.card)


def _shade(picture: Image.Image, rng: np.random.Generator, material: str) -> Image.Image:
    """Multiplies the colours by light on a rounded relief of the shape, and by the texture of the material."""
    alpha = picture.getchannel("A")
    size_px = max(picture.size)
    radius = size_px * float(rng.uniform(0.01, 0.035))
    relief = np.asarray(alpha.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / 255
    details = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(1.5)), dtype=np.float32) / 255
    down, right = np.gradient(relief * radius + float(rng.uniform(0, 1.5)) * details)
    angle = rng.uniform(-np.pi, 0)  # light from above
    light = 1 - float(rng.uniform(0.5, 1.3)) * (np.cos(angle) * right + np.sin(angle) * down)
    surface = _TEXTURES[material](rng, size_px)[: picture.height, : picture.width]
    light *= 1 + float(rng.uniform(0.2, 0.9)) * (surface - 1)
    colours = np.asarray(picture.convert("RGB"), dtype=np.float32)
    lit = colours * np.clip(light, 0.25, 1.8)[..., None]
    if colours[np.asarray(alpha) > 127].mean() > 60:
        lit += float(rng.uniform(0, 120)) * _highlight(rng, picture.size)[..., None]
    return Image.merge("RGBA", (*Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8)).split(), alpha))


def _highlight(rng: np.random.Generator, size: tuple[int, int]) -> Float[np.ndarray, "height width"]:
    """Returns the brightness of a soft oval spot, 0 to 1."""
    width, height = size
    down, right = np.mgrid[0:height, 0:width] / max(size)
    x, y = rng.uniform(0.2, 0.8, 2) * np.array(size) / max(size)
    angle, long, short = rng.uniform(0, np.pi), rng.uniform(0.08, 0.3), rng.uniform(0.02, 0.08)
    along = np.cos(angle) * (right - x) + np.sin(angle) * (down - y)
    across = np.cos(angle) * (down - y) - np.sin(angle) * (right - x)
    return np.exp(-((along / long) ** 2) - (across / short) ** 2)


def _turn(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Shows the picture in perspective, as if it were turned away from the camera."""
    width, height = picture.size
    corners = np.array([(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)])
    margin = round(_TURN * max(picture.size)) + 1
    moved = corners + rng.uniform(-_TURN, _TURN, (4, 2)) * (width, height) + margin
    size = (width + 2 * margin, height + 2 * margin)
    return picture.transform(size, Image.Transform.PERSPECTIVE, _perspective(moved, corners), Image.Resampling.BICUBIC)


def _perspective(source: np.ndarray, target: np.ndarray) -> tuple[float, ...]:
    """Returns the 8 coefficients of the projection that maps four points (x, y) to four others."""
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(source.tolist(), target.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return tuple(np.linalg.solve(np.array(rows), target.ravel()).tolist())
