import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from tests.support.repository import ROOT

pytest.importorskip("torch")

from benchmarks.harness.loader_worker import paper_config
from benchmarks.harness.solo_files import extracted_files
from benchmarks.harness.torch_loader import Choice, Mixtures, endless_batches
from benchmarks.loader import feeding
from data_pipeline.loader import evaluation_batches, training_batches
from data_pipeline.mixing import ClipTable, MixingSpec, draw_mixture
from data_pipeline.records.store import RecordStore
from data_pipeline.spec import AudioSpec, FrameSpec

# librosa.load imports a library that imports these.
pytestmark = pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning")

AUDIO = AudioSpec(rate_hz=8000, clip_samples=4032, fft_samples=254, hop_samples=64)
FRAMES = FrameSpec(count=2, crop_px=32)


@pytest.fixture(scope="module")
def store(tiny_set):
    return RecordStore.open(tiny_set, "tiny", "train")


@pytest.fixture(scope="module")
def mixtures(tiny_set):
    return Mixtures(extracted_files(tiny_set, "tiny"), AUDIO, FRAMES, as_bytes=True)


def test_the_peer_makes_the_same_arrays_from_the_same_plans(store, mixtures):
    table = ClipTable(store.clips, AUDIO, sources=2, same_class=False)
    plans = [draw_mixture(table, MixingSpec(2), seed=3, step=0, slot=slot) for slot in range(6)]
    ours = evaluation_batches(store, plans, audio=AUDIO, frames=FRAMES, batch_size=1)
    numbers = {solo.folder: number for number, solo in enumerate(mixtures.solos)}
    flips, later_chunks = set(), 0
    for batch, mixture in zip(ours, plans, strict=True):
        choices = []
        for plan in mixture:
            clip = store.clips[plan.clip]
            start = plan.start + round(clip.start_seconds * AUDIO.rate_hz)
            choices.append(Choice(numbers[clip.video_id], start, plan.gain, plan.crop, plan.flip))
            flips.add(plan.flip)
            later_chunks += clip.chunk > 0
        theirs = mixtures.mix(choices)
        for name in ("mixture_magnitude", "source_magnitude"):
            # Both transform in float32: sums of 254 samples with magnitudes up to about one.
            np.testing.assert_allclose(theirs[name], batch[name][0], atol=1e-4, err_msg=name)
        assert theirs["frames"].shape == batch["frames"][0].shape
        # The two JPEG decoders round differently.
        np.testing.assert_allclose(theirs["frames"].astype(int), batch["frames"][0].astype(int), atol=8)
    assert flips == {False, True}
    assert later_chunks > 0


def test_the_peer_normalises_pictures_by_default(tiny_set, mixtures):
    choices = [Choice(number, 0, 1.0, (0.2, 0.8), flip) for number, flip in ((0, False), (5, True))]
    plain = Mixtures(extracted_files(tiny_set, "tiny"), AUDIO, FRAMES).mix(choices)["frames"].numpy()
    pictures = mixtures.mix(choices)["frames"] / 255
    expected = (pictures - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert plain.dtype == np.float32
    np.testing.assert_allclose(plain, np.moveaxis(expected, -1, 2), atol=1e-5)


def test_the_peer_makes_batches_like_ours(store, mixtures):
    made = training_batches(store, audio=AUDIO, frames=FRAMES, mixing=MixingSpec(2), batch_size=4, seed=0)
    ours = next(made)
    made.close()
    first, second = itertools.islice(endless_batches(mixtures, batch_size=4, workers=0), 2)
    for name, array in first.items():
        assert array.numpy().shape == ours[name].shape
        assert array.numpy().dtype == ours[name].dtype
    assert not np.array_equal(first["frames"], second["frames"])
    assert set(mixtures.seconds) == {"plan", "sound", "pictures", "stft"}


def test_cores_to_feed_an_accelerator():
    fed = feeding(paper_config({}), 0.2, 80, {"ours": 100.0})
    assert fed["mixtures_per_second_needed"] == pytest.approx(400)
    assert fed["cores"]["ours"] == pytest.approx(4)
    assert "assumption" in fed["note"]
    assert fed["picture_bytes_a_mixture"] == 2 * 6 * 224 * 437 * 3
    assert fed["picture_bytes_per_second_needed"] == pytest.approx(400 * 2 * 6 * 224 * 437 * 3)


@pytest.mark.e2e
@pytest.mark.slow
def test_the_command(tmp_path):
    path = tmp_path / "results" / "loader.json"
    tiny = ["--size=tiny", "--rounds=1", "--batches=2", "--batch_size=4", "--solos=2", "--solo_seconds=4"]
    command = [sys.executable, "-m", "benchmarks.loader", f"--json={path}", f"--workdir={tmp_path}/work", *tiny]
    run = subprocess.run([*command, "--long_seconds=8"], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stderr
    results = json.loads(path.read_text())
    kinds = ("", "_in_memory", "_first_pass")
    for kind in kinds:
        assert results[f"ratio_per_core{kind}"] > 0
        assert results[f"ratio_per_core{kind}_bytes"] > 0
    # Eight pictures per second, plus those that the codec adds at the end.
    assert results["pictures_kept"]["ours"] == results["pictures_kept"]["ours_in_memory"] >= 2 * 4 * 8
    assert results["mixtures_per_second"].keys() == {*(f"ours{kind}" for kind in kinds), "theirs", "theirs_bytes"}
    stages = {"plan", "read", "pictures", "stft", "the rest"}
    assert results["stages"]["ours"].keys() == stages
    assert results["stages"]["ours_first_pass"].keys() == stages | {"keep"}
    assert results["stages"]["theirs"].keys() == {"plan", "sound", "pictures", "stft", "the rest"}
    assert results["read_ratio_long_videos"] > 0
    assert results["facts"]["command"].startswith("python -m benchmarks.loader")
