"""Solos in the layouts of MUSIC, VEGAS and PixelPlayer's index files are prepared and trained on."""

import io
import itertools
import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_pipeline.loader import training_batches
from data_pipeline.media import reader
from data_pipeline.mixing import MixingSpec
from data_pipeline.records.store import RecordStore
from data_pipeline.spec import AudioSpec, FrameSpec
from tests.conftest import TINY
from tests.support.records import parse
from tests.support.tiny_run import config_file, run

LAYOUTS = ("music", "vegas", "index_csv")


def solos(tiny_set: Path) -> dict[str, list[Path]]:
    """The videos of the tiny set by class."""
    return {folder.name: sorted(folder.glob("*.mp4")) for folder in sorted((tiny_set.parent / "videos").iterdir())}


def as_music(by_class: dict[str, list[Path]], root: Path) -> list[str]:
    for path in itertools.chain(*by_class.values()):
        shutil.copy(path, root)
    ids = {label: [path.stem for path in paths] for label, paths in by_class.items()}
    ids["low"].append("gone_from_the_web")
    (root / "list.json").write_text(json.dumps({"version": 1.0, "videos": ids}))
    return [f"--list={root / 'list.json'}"]


def as_vegas(by_class: dict[str, list[Path]], root: Path) -> list[str]:
    for label, paths in by_class.items():
        (root / label / "videos").mkdir(parents=True)
        for number, path in enumerate(paths):
            shutil.copy(path, root / label / "videos" / f"video_{number:05d}.mp4")
    return []


def as_index_csv(by_class: dict[str, list[Path]], root: Path) -> list[str]:
    rows: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for label, paths in by_class.items():
        for path, split in zip(paths, ("train", "train", "val", "test"), strict=True):
            sound = root / "audio" / label / f"{path.stem}.wav"
            frames = root / "frames" / label / path.name
            sound.parent.mkdir(parents=True, exist_ok=True)
            frames.mkdir(parents=True)
            with wave.open(str(sound), "wb") as file:
                file.setparams((1, 2, 16000, 0, "NONE", ""))
                file.writeframes((reader.read_audio(path, 16000) * 32767).astype(np.int16).tobytes())
            pictures = list(reader.read_frames(path, np.arange(0, TINY["seconds"], 1 / 8), 48))
            for number, picture in enumerate(pictures, start=1):
                Image.fromarray(picture).save(frames / f"{number:06d}.jpg")
            rows[split].append(f"{sound.relative_to(root)},{frames.relative_to(root)},{len(pictures)}")
    for split, lines in rows.items():
        (root / f"{split}.csv").write_text("\n".join(lines) + "\n")
    return [f"--list={root}/train.csv,{root}/val.csv,{root}/test.csv", "--split_by_list"]


@pytest.fixture(scope="module")
def prepared(tiny_set, tmp_path_factory):
    """Data directory with one set for each layout, named after it."""
    root = tmp_path_factory.mktemp("layouts")
    for layout in LAYOUTS:
        folder = root / layout
        folder.mkdir()
        lists = globals()[f"as_{layout}"](solos(tiny_set), folder)
        flags = [f"--source={layout}", f"--videos={folder}", *lists, f"--data_dir={root / 'data'}", f"--name={layout}"]
        flags += [f"--{name}={TINY[name]:g}" for name in ("rate_hz", "fps", "frame_px")]
        status, output = run("data_pipeline.prepare", *flags, "--chunk_seconds=3", "--min_seconds=1", "--workers=1")
        assert status == 0, output
    return root / "data"


@pytest.mark.e2e
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_becomes_batches(prepared, layout):
    store = RecordStore.open(prepared, layout, "train")
    assert store.classes == ("high", "low", "middle", "top")
    splits = [
        {clip.video_id for clip in RecordStore.open(prepared, layout, split).clips} for split in ("train", "test")
    ]
    assert [len(ids) for ids in splits] == [8, 4]
    assert not splits[0] & splits[1]
    audio = AudioSpec(rate_hz=TINY["rate_hz"], clip_samples=4032, fft_samples=254, hop_samples=64)
    batches = training_batches(store, audio=audio, frames=FrameSpec(2, 32), mixing=MixingSpec(2), batch_size=2, seed=0)
    batch = next(batches)
    assert np.all(batch["source_magnitude"].max((2, 3)) > 0.1)
    picture = np.asarray(Image.open(io.BytesIO(parse(store, 0)["frames"][0].numpy())))
    assert min(picture.shape[:2]) == TINY["frame_px"]


@pytest.mark.e2e
def test_what_a_list_misses_is_in_the_manifest(prepared):
    lines = (prepared / "music" / "1.0.0" / "manifest.jsonl").read_text().splitlines()
    missing = [row for row in map(json.loads, lines) if row["status"] != "used"]
    assert [(row["name"], row["class"], row["status"]) for row in missing] == [
        ("gone_from_the_web", "low", "missing"),
    ]
    summary = json.loads((prepared / "music" / "1.0.0" / "prepare_summary.json").read_text())
    assert summary["left_out"]["low"] == {"missing": 1}


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_trains(prepared, tmp_path, layout):
    config = config_file(tmp_path, prepared)
    flags = [f"--config={config}", f"--workdir={tmp_path / 'run'}", f"--config.data.name={layout}"]
    status, output = run("mpnet_jax.train", *flags, "--config.rounds.minus=1")
    assert status == 0, output
    assert "trained 1 steps" in output
