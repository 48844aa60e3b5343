"""Sets up two CPU devices (or the number in XLA_FLAGS) and a compilation cache, and provides a small data set."""

import gc
import importlib.metadata
import os
import re
import sys
import tempfile
from pathlib import Path

# Set before JAX is imported. Tests compile much and compute little, so the compiler optimises as little as possible.
# That of JAX before 0.12 takes half the time without fusion; later ones have no such option.
XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_force_host_platform_device_count={devices}"
HAS_FUSION_OPTION = tuple(map(int, importlib.metadata.version("jax").split(".")[:2])) < (0, 12)
if HAS_FUSION_OPTION:
    XLA_FLAGS += " --xla_cpu_use_fusion_emitters=false"
chosen = re.search(r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
os.environ["XLA_FLAGS"] = XLA_FLAGS.format(devices=chosen[1] if chosen else 2)
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("MPNET_JAX_CACHE", str(Path(tempfile.gettempdir()) / "mpnet_jax_test_cache"))
# Every program is kept, however fast it was compiled.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import pytest
from hypothesis import settings

from tests.support.tiny_videos import write_video as _write_video

# A checkout gives the same verdict on every run; pytest --hypothesis-profile=default draws new examples.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

TINY = {"rate_hz": 8000, "fps": 4.0, "frame_px": 40, "seconds": 4.0}
TINY_CLASSES = {"low": 200.0, "middle": 500.0, "high": 1200.0, "top": 2500.0}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden-dir",
        type=Path,
        default=Path(__file__).parent / "golden",
        help="folder of stored network outputs; the seed is in the files' names",
    )


def pytest_collection_finish() -> None:
    """Turns on the compilation cache also for tests that call no command, and saves garbage collection some work."""
    if jax := sys.modules.get("jax"):
        jax.config.update("jax_compilation_cache_dir", os.environ["MPNET_JAX_CACHE"])
    # The imported modules stay; to visit them takes a share of the time in which JAX traces.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def write_video():
    return _write_video


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the data set "tiny": four classes of tones with four videos each, in all three splits."""
    from data_pipeline.prepare import Options, prepare
    from data_pipeline.sources import Place
    from data_pipeline.staging.cutting import CutSpec

    root = tmp_path_factory.mktemp("tiny")
    for label, tone_hz in TINY_CLASSES.items():
        for number in range(4):
            _write_video(
                root / "videos" / label / f"{label}_{number}.mp4",
                seconds=TINY["seconds"],
                tone_hz=tone_hz * (1 + 0.05 * number),
                level=0.1 * (1 + number),
                rate_hz=16000,
            )
    prepare(
        Options(
            source="folder",
            place=Place(root / "videos"),
            data_dir=root / "data",
            name="tiny",
            cut=CutSpec(
                rate_hz=TINY["rate_hz"],
                fps=TINY["fps"],
                frame_px=TINY["frame_px"],
                chunk_seconds=3.0,
                min_seconds=1.0,
                silence_dbfs=-50.0,
            ),
            workers=1,
        )
    )
    return root / "data"
