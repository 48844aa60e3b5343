"""Reading pictures: every format and mode, backgrounds, and everything that cannot be used."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data_pipeline.rendered.pictures.raster import SIDE_PX, UnusablePicture, read_cutout

RED = (200, 30, 40)


def ellipse(size=(80, 40), mode="RGBA", background=(0, 0, 0, 0)):
    """Returns an image with a red ellipse that leaves margins of 10 and 5 pixels."""
    image = Image.new("RGBA", size, background)
    ImageDraw.Draw(image).ellipse((10, 5, size[0] - 11, size[1] - 6), fill=(*RED, 255))
    return image.convert(mode)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def middle(cutout):
    width, height = cutout.image.size
    return np.array(cutout.image.getpixel((width // 2, height // 2)))


@pytest.mark.parametrize("suffix", ["png", "webp", "PNG"])
def test_transparent_margins_are_removed(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    cutout = read_cutout(saved(ellipse(), tmp_path / f"a.{suffix}", **options))
    assert cutout.image.mode == "RGBA" and not cutout.card
    assert cutout.image.size == (60, 30)
    np.testing.assert_array_equal(middle(cutout), (*RED, 255))
    assert cutout.image.getpixel((0, 0))[3] == 0


def test_a_border_of_one_colour_is_a_background(tmp_path):
    for background, mode, name in (
        ((250, 250, 250, 255), "RGB", "white.png"),
        ((20, 90, 20, 255), "RGB", "green.jpg"),
        ((255, 255, 255, 255), "CMYK", "cmyk.jpg"),
    ):
        options = {"quality": 95} if name.endswith("jpg") else {}
        cutout = read_cutout(saved(ellipse(mode=mode, background=background), tmp_path / name, **options))
        assert not cutout.card, name
        assert np.abs(np.array(cutout.image.size) - (60, 30)).max() <= 2, name
        assert np.abs(middle(cutout)[:3].astype(int) - RED).max() < 30, name
        assert cutout.image.getpixel((0, 0))[3] == 0, name


def test_a_photo_stays_a_rectangle(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    cutout = read_cutout(saved(Image.fromarray(noise), tmp_path / "photo.png"))
    assert cutout.card and cutout.image.size == (70, 50)
    assert np.asarray(cutout.image)[..., 3].min() == 255


def test_a_background_inside_the_shape_stays(tmp_path):
    image = ellipse(mode="RGB", background=(255, 255, 255, 255))
    ImageDraw.Draw(image).rectangle((35, 15, 45, 25), fill=(255, 255, 255))
    cutout = read_cutout(saved(image, tmp_path / "a.png"))
    np.testing.assert_array_equal(middle(cutout), (255, 255, 255, 255))


def test_sixteen_bits_keep_their_grey_levels(tmp_path):
    levels = np.tile(np.linspace(0, 65535, 64, dtype=np.uint16), (32, 1))
    cutout = read_cutout(saved(Image.fromarray(levels), tmp_path / "a.png"))
    row = np.asarray(cutout.image)[16, :, 0].astype(int)
    assert row[0] == 0 and row[-1] == 255 and 120 < row[32] < 136


@pytest.mark.parametrize("mode", ["P", "L", "LA", "1"])
def test_other_modes_are_read(tmp_path, mode):
    image = ellipse(size=(60, 60), background=(255, 255, 255, 255)).convert(mode)
    assert read_cutout(saved(image, tmp_path / "a.png")).image.mode == "RGBA"


def test_a_palette_with_transparency_keeps_it(tmp_path):
    image = ellipse().convert("P")
    path = saved(image, tmp_path / "a.png", transparency=image.getpixel((0, 0)))
    assert read_cutout(path).image.size == (60, 30)


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_an_animation_gives_its_first_frame(tmp_path, suffix):
    second = Image.new("RGBA", (80, 40), (0, 0, 255, 255))
    path = tmp_path / f"a.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    ellipse().save(path, save_all=True, append_images=[second], **options)
    np.testing.assert_array_equal(middle(read_cutout(path)), (*RED, 255))


def test_a_large_picture_is_reduced(tmp_path):
    cutout = read_cutout(saved(ellipse((3000, 1000)), tmp_path / "a.png"))
    assert SIDE_PX - 4 <= cutout.image.width <= SIDE_PX


def bomb(width, height):
    """Returns a PNG file whose header states a size, with hardly any data."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def png_bytes(tmp_path):
    return saved(ellipse(), tmp_path / "whole.png").read_bytes()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda _: b"", "damaged"),
        (lambda _: b"no picture at all", "damaged"),
        (lambda folder: png_bytes(folder)[:90], "damaged"),
        (lambda _: bomb(60, 60), "damaged"),
        (lambda _: bomb(8000, 8000), "too large"),
        (lambda _: bomb(12_000, 12_000), "too large"),  # Pillow warns
        (lambda _: bomb(60_000, 60_000), "too large"),  # Pillow refuses
    ],
)
def test_damaged_and_huge_files_have_a_reason(tmp_path, content, reason):
    path = tmp_path / "a.png"
    path.write_bytes(content(tmp_path))
    with pytest.raises(UnusablePicture, match=f"^{reason}$"):
        read_cutout(path)


def test_small_and_blank_pictures_have_a_reason(tmp_path):
    with pytest.raises(UnusablePicture, match="smaller than 16 pixels"):
        read_cutout(saved(Image.new("RGBA", (1, 1), RED), tmp_path / "a.png"))
    for image in (Image.new("RGBA", (64, 64)), Image.new("RGB", (64, 64), "white")):
        with pytest.raises(UnusablePicture, match="blank"):
            read_cutout(saved(image, tmp_path / "b.png"))


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere.png")
    for name in ("pipe.png", "folder.png", "lost.png"):
        with pytest.raises(UnusablePicture, match="no file"):
            read_cutout(tmp_path / name)
