import io

import numpy as np
import pytest
from PIL import Image

from data_pipeline.command import InputError
from data_pipeline.records.pictures import cut, cut_box, decode
from data_pipeline.tf_cpu import tf


def random_picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_pictures_are_decoded_as_tensorflow_does():
    jpegs = []
    for height in (20, 24):
        Image.fromarray(random_picture(height, 30)).save(buffer := io.BytesIO(), "JPEG")
        jpegs.append(buffer.getvalue())
    for jpeg, picture, height in zip(jpegs, decode(jpegs), (20, 24), strict=True):
        assert picture.shape == (height, 30, 3)
        np.testing.assert_array_equal(picture, tf.io.decode_jpeg(jpeg, channels=3).numpy())
    assert decode([]) == []


@pytest.mark.parametrize("flip", [False, True])
def test_a_square_is_cut_and_mirrored(flip):
    picture, out = random_picture(10, 14), np.empty((8, 8, 3), np.uint8)
    assert cut(picture, out, crop=(1.0, 0.5), flip=flip) == (2, 3)
    expected = picture[2:10, 3:11]
    np.testing.assert_array_equal(out, expected[:, ::-1] if flip else expected)


def test_a_picture_smaller_than_the_square_is_refused():
    with pytest.raises(InputError, match=r"a picture of 14 x 10 pixels holds no square of 12; lower config\.frames"):
        cut(random_picture(10, 14), np.empty((12, 12, 3), np.uint8), crop=(0.0, 0.0), flip=False)


@pytest.mark.parametrize(
    ("whole", "expected", "mirrored"),
    [
        ([0.1, 0.5, 0.5, 0.7], [0.0, 0.0, 0.5, 0.5], [0.0, 0.5, 0.5, 1.0]),
        ([0.5, 0.0, 1.0, 1.0], [0.5, 0.0, 1.0, 1.0], [0.5, 0.0, 1.0, 1.0]),
        ([np.nan] * 4, [np.nan] * 4, [np.nan] * 4),  # unknown
        ([0.1, 0.1, 0.5, 0.4], [np.nan] * 4, [np.nan] * 4),  # outside of the crop
    ],
)
def test_a_box_follows_the_cut_and_the_mirror(whole, expected, mirrored):
    # A frame of 40 x 80, from which 32 x 32 is cropped at row 4, column 40.
    for flip, place in ((False, expected), (True, mirrored)):
        box = cut_box(np.float32(whole), corner=(4, 40), size=(40, 80), side=32, flip=flip)
        assert box.dtype == np.float32
        np.testing.assert_allclose(box, place, atol=1e-6)
