"""Makes grey textures like those of materials: wood, metal, cloth, plaster, brick, foliage."""

import numpy as np
from jaxtyping import Float
from PIL import Image

# A texture multiplies a colour: its mean is about 1.
Texture = Float[np.ndarray, "height width"]


def clouds(
    rng: np.random.Generator, size_px: int, *, coarsest: int = 3, octaves: int = 6, rough: float = 0.55
) -> Texture:
    """Returns noise of mean 0 and standard deviation 1 that is similar to itself at several scales.

    Args:
        rng: Random generator.
        size_px: Side of the texture.
        coarsest: Number of cells of the coarsest octave along a side.
        octaves: Number of octaves, each with twice as many cells.
        rough: Strength of an octave relative to the one before, 0 to 1.
    """
    total = np.zeros((size_px, size_px), dtype=np.float32)
    for octave in range(octaves):
        cells = coarsest * 2**octave
        if cells > size_px:
            break
        total += rough**octave * stretched(rng, (cells, cells), size_px)
    return total / max(float(total.std()), 1e-6)


def stretched(rng: np.random.Generator, cells: tuple[int, int], size_px: int) -> Texture:
    """Returns noise of (rows, columns) cells, enlarged smoothly to a square."""
    noise = Image.fromarray(rng.standard_normal(cells, dtype=np.float32))
    return np.asarray(noise.resize((size_px, size_px), Image.Resampling.BICUBIC))


def wood(rng: np.random.Generator, size_px: int) -> Texture:
    """Returns the grain of wood along the vertical axis: bent rings and fine fibres."""
    across = np.linspace(0, float(rng.uniform(4, 14)), size_px, dtype=np.float32)[None, :]
    bend = 0.6 * stretched(rng, (3, 4), size_px) + 0.15 * stretched(rng, (6, 12), size_px)
    rings = np.abs(np.sin(np.pi * (across + bend)))
    fibres = stretched(rng, (6, size_px // 2), size_px)
    return 0.86 + 0.22 * rings + 0.06 * fibres + 0.05 * clouds(rng, size_px, octaves=4)


def metal(rng: np.random.Generator, size_px: int) -> Texture:
    """Returns reflections on polished metal: smooth bands of high contrast, and a narrow highlight."""
    down, right = np.mgrid[0:size_px, 0:size_px].astype(np.float32) / size_px
    angle = float(rng.uniform(0, 2 * np.pi))
    along = np.cos(angle) * right + np.sin(angle) * down + 0.08 * stretched(rng, (4, 4), size_px)
    bands = sum(np.sin(2 * np.pi * (k * along + rng.random())) / k for k in (1, 2, 4))
    peak = np.exp(-(((along - along.mean()) / 0.06) ** 2))
    return np.asarray(0.9 + 0.3 * bands + 0.9 * peak, dtype=np.float32)


def lacquer(rng: np.random.Generator, size_px: int) -> Texture:
    """Returns a glossy dark surface: a strong gradient with a soft highlight."""
    down, right = np.mgrid[0:size_px, 0:size_px].astype(np.float32) / size_px
    x, y = rng.uniform(0.2, 0.8, 2)
    glint = np.exp(-(((right - x) / 0.15) ** 2 + ((down - y) / 0.3) ** 2))
    return 1.1 - 0.35 * down + 0.7 * glint + 0.03 * clouds(rng, size_px, octaves=5)


def cloth(rng: np.random.Generator, size_px: int) -> Texture:
    """Returns folded cloth with a weave."""
    folds = stretched(rng, (3, 8), size_px)
    return 1 + 0.16 * folds + 0.05 * rng.standard_normal((size_px, size_px), dtype=np.float32)


def plaster(rng: np.random.Generator, size_px: int) -> Texture:
    """Returns a rough wall."""
    return 1 + float(rng.uniform(0.04, 0.16)) * clouds(rng, size_px, rough=float(rng.uniform(0.45, 0.8)))


def brick(rng: np.random.Generator, size_px: int) -> Texture:
    """Returns rows of bricks of different brightness with pale joints."""
    height, width = float(rng.uniform(14, 30)), float(rng.uniform(36, 70))
    down, right = np.mgrid[0:size_px, 0:size_px].astype(np.float32)
    row = (down / height).astype(int)
    place = right / width + 0.5 * (row % 2)
    tone = rng.uniform(0.7, 1.15, (row.max() + 1, int(place.max()) + 1)).astype(np.float32)
    joint = (np.mod(down, height) < 3) | (np.mod(place, 1) * width < 3)
    walls = np.where(joint, 1.35, tone[row, place.astype(int)])
    return walls * (1 + 0.1 * clouds(rng, size_px, coarsest=12, octaves=5, rough=0.8))


def foliage(rng: np.random.Generator, size_px: int) -> Texture:
    """Returns leaves in light and shadow."""
    return np.clip(1 + 0.35 * clouds(rng, size_px, coarsest=6, rough=0.85), 0.2, 2.2)


def planks(rng: np.random.Generator, size_px: int) -> Texture:
    """Returns horizontal or vertical boards of wood."""
    grain = wood(rng, size_px)
    width = int(rng.integers(24, 80))
    column = np.arange(size_px) // width
    tone = rng.uniform(0.82, 1.12, column.max() + 1)[column]
    tone[np.arange(size_px) % width < 2] = 0.5
    boards = grain * tone[None, :]
    return (boards.T if rng.random() < 0.5 else boards).astype(np.float32)


def panes(rng: np.random.Generator, size_px: int) -> Texture:
    """Returns a wall of wide vertical folds, like a curtain."""
    across = np.linspace(0, 1, size_px, dtype=np.float32)[None, :] + 0.01 * stretched(rng, (3, 6), size_px)
    folds = np.sin(2 * np.pi * float(rng.uniform(6, 16)) * across)
    return 0.9 + 0.3 * folds + 0.04 * clouds(rng, size_px)
