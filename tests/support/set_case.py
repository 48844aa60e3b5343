"""The base class of the tests of all TFDS sets."""

import tempfile
from pathlib import Path

import tensorflow_datasets as tfds

from data_pipeline.builders.source_set import CutConfig

TINY_CUT = {"fps": 4, "frame_px": 24, "chunk_seconds": 2, "min_seconds": 1, "workers": 1}
# Three videos of one class, one for each split, of three seconds and thus two chunks each.
THREE = {"train": 2, "validation": 2, "test": 2}


class SetCase(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own test of a builder, on videos that `write_data` makes."""

    # Files may be opened without TensorFlow, because FFmpeg and NumPy need local files anyway.
    MOCK_OUT_FORBIDDEN_OS_FUNCTIONS = False
    SPLITS = THREE
    BUILDER_CONFIG_NAMES_TO_TEST = (CutConfig(name="tiny", **TINY_CUT),)

    @classmethod
    def write_data(cls, folder: Path) -> None:
        raise NotImplementedError

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.EXAMPLE_DIR = folder.name
        cls.write_data(Path(folder.name))
        super().setUpClass()
