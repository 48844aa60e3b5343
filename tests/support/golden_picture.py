"""The picture of EfficientNet-Lite0's stored outputs, and the values of a map that are stored."""

import numpy as np
import skimage.data

SIDES_PX = (224, 150)
STORED_VALUES = 256
# A cup of espresso from above: `skimage.data.coffee` (Rachel Michetti, CC0), which is part of scikit-image's wheel.
ESPRESSO = 967


def picture_of(side_px: int) -> np.ndarray:
    """Returns the central square of the picture, (side_px, side_px, 3) uint8, by nearest neighbours."""
    square = skimage.data.coffee()[:, 100:500]
    places = np.arange(side_px) * square.shape[0] // side_px
    return square[np.ix_(places, places)]


def stored_values(values: np.ndarray) -> np.ndarray:
    """Returns values from all over a map, (height, width, channel); a prime step reaches all rows and channels."""
    return values.reshape(-1)[np.arange(STORED_VALUES) * 1_000_003 % values.size]
