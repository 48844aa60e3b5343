"""Tests of kept features: what the pass writes, how it resumes, what it refuses, and training from them."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.command import InputError
from data_pipeline.mixing import SourcePlan
from data_pipeline.records import features as feature_files
from data_pipeline.records.class_features import ClassFeatures, ObjectPlan
from data_pipeline.records.features import KeptFeatures
from data_pipeline.records.store import RecordStore
from data_pipeline.spec import FeatureSpec
from mpnet_jax.methods import settings
from mpnet_jax.models.efficientnet import FEATURES
from mpnet_jax.run.log import LOSSES, read_lines
from mpnet_jax.steps.separated_mixtures import separate_mixtures
from mpnet_jax.train import train
from mpnet_jax.weights.trained import read_run
from tests.support.repository import ROOT
from tests.support.tiny_run import config_file, start_several, tiny_config

SPEC = FeatureSpec(seconds=0.5, views=2, crop_px=32, trunk="0123456789abcdef0123", dilated=True, pooled=True)
RECIPE = {
    "model.frame_net": "efficientnet_lite0",
    "model.frame_net_trained": "head",
    "model.visual_pooling": "mean",
    "model.visual_activation": "none",
    "model.feature_noise": 0.5,
    "model.feature_dropout": 0.2,
    "model.initial_weights": "he",
    "data.feature_seconds": 0.5,
    "data.feature_views": 2,
    "loss.class_weight": 0.5,
    "miml.classes": 4,
    "optimiser.name": "muon",
    "optimiser.average_decay": 0.9,
}


def recipe(tiny_set: Path, folder: Path, **changes):
    config = tiny_config(tiny_set)
    config.update_from_flattened_dict(RECIPE | {"data.feature_directory": str(folder)} | changes)
    return config


def losses(workdir: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in read_lines(workdir / LOSSES)]


@pytest.fixture
def store(tiny_set):
    return RecordStore.open(tiny_set, "tiny", "train")


def fill(kept: KeptFeatures, value=lambda views: [view.clip for view in views]) -> None:
    """Writes features that show the number of their clip."""
    for piece in kept.missing:
        rows = np.array([value(views) for views in kept.frames_of(piece)], np.float16)
        kept.write(piece, np.repeat(rows[..., None, None, None], 3, axis=-1))


def test_every_frame_at_the_distance_has_its_views_once(store, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_files, "PIECE", 5)
    kept = KeptFeatures(store, SPEC, tmp_path)
    views = [views for piece in kept.missing for views in kept.frames_of(piece)]
    stride = round(SPEC.seconds * store.spec.fps)
    expected = [(clip, frame) for clip, c in enumerate(store.clips) for frame in range(0, c.frames, stride)]
    assert [(v[0].clip, v[0].frame) for v in views] == expected and len(kept) == len(expected)
    assert all(v[0].crop == (0.5, 0.5) and not v[0].flip and v[1].flip and v[1].crop != (0.5, 0.5) for v in views)
    again = KeptFeatures(store, SPEC, tmp_path)
    assert [views for piece in again.missing for views in again.frames_of(piece)] == views


def test_a_window_reads_the_nearest_frame_and_the_view_of_its_crop(store, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_files, "PIECE", 5)
    kept = KeptFeatures(store, SPEC, tmp_path)
    fill(kept, lambda views: [views[0].frame + 0.25 * number for number in range(len(views))])
    stride = round(SPEC.seconds * store.spec.fps)
    last = (store.clips[1].frames - 1) // stride * stride
    out = np.empty((3, *kept.shape()), np.float16)
    for crop, view in (((0.5, 0.5), 0), ((0.1, 0.9), 0), ((0.99, 0.2), 1)):
        plan = SourcePlan(clip=1, start=0, gain=1.0, crop=crop)
        kept.read(plan, np.array([0, stride, store.clips[1].frames + 99]), out)
        np.testing.assert_array_equal(out[:, 0, 0, 0], np.array([0, stride, last]) + 0.25 * view)


def test_a_source_that_shows_its_class_reads_no_frame_where_the_class_is_known(store, tmp_path):
    kept = KeptFeatures(store, SPEC, tmp_path)
    fill(kept, lambda views: [views[0].clip + 1.0] * len(views))
    weights = np.full((len(store.classes), 3), np.nan, np.float32)
    known = store.clips[0].label
    unknown = next(clip for clip, entry in enumerate(store.clips) if entry.label != known)
    weights[known] = (1.0, -1.0, 0.0)
    kept.of_classes = ClassFeatures(kept.mean(), weights)
    seen = ObjectPlan((0.5, 0.5), 0.5, 4.0)
    out = np.empty((2, *kept.shape()), np.float16)
    kept.read(SourcePlan(clip=0, start=0, gain=1.0, seen=seen), np.array([0, 1]), out)
    mean = np.float16(kept.mean()[0])
    np.testing.assert_allclose(out[:, 0, 0], [[mean + 4, max(mean - 4, 0), mean]] * 2, rtol=1e-2)
    for plan in (SourcePlan(clip=unknown, start=0, gain=1.0, seen=seen), SourcePlan(clip=unknown, start=0, gain=1.0)):
        kept.read(plan, np.array([0, 1]), out)
        np.testing.assert_array_equal(out, unknown + 1.0)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_only_training_clips_show_their_class_and_only_where_the_config_says_so(tiny_set, tmp_path, monkeypatch, share):
    stores = {split: RecordStore.open(tiny_set, "tiny", split) for split in ("train", "validation")}

    def attach(stores, net, variables, spec, folder):
        for each in stores.values():
            each.features = KeptFeatures(each, SPEC, folder)
            fill(each.features)

    monkeypatch.setattr(settings.features, "attach", attach)
    monkeypatch.setattr(settings.imagenet, "class_weights", lambda labels: np.ones((len(labels), 3), np.float32))
    config = recipe(tiny_set, tmp_path, **{"mixing.classifier_share": share})
    settings.keep_features(config, {}, stores)
    assert (stores["train"].features.of_classes is not None) == bool(share)
    assert stores["validation"].features.of_classes is None


def test_another_trunk_size_or_data_set_has_another_folder(store, tiny_set, tmp_path):
    import dataclasses

    changes = (
        {"trunk": "f" * 20},
        {"crop_px": 24},
        {"views": 1},
        {"seconds": 1.0},
        {"dilated": False},
        {"pooled": False},
    )
    folders = {KeptFeatures(store, dataclasses.replace(SPEC, **change), tmp_path).folder for change in ({}, *changes)}
    folders.add(KeptFeatures(RecordStore.open(tiny_set, "tiny", "validation"), SPEC, tmp_path).folder)
    assert len(folders) == 8


def test_a_damaged_piece_is_refused_in_one_sentence(store, tmp_path):
    kept = KeptFeatures(store, SPEC, tmp_path)
    fill(kept)
    (path,) = kept.folder.glob("*.npy")
    whole = path.read_bytes()
    plan, out = SourcePlan(clip=0, start=0, gain=1.0), np.empty((1, 1, 1, 3), np.float16)
    for damaged in (b"", whole[:50], whole[:-7], b"\x80\x04nonsense", whole.replace(b"<f2", b"<f4")):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"00000\.npy holds no features .*; delete it and give the same command"):
            KeptFeatures(store, SPEC, tmp_path).read(plan, np.array([0]), out)
    path.unlink()
    assert kept.missing == [0]


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/dev/full").exists(), reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused_and_keeps_its_pieces(store, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_files, "PIECE", 5)
    kept = KeptFeatures(store, SPEC, tmp_path)
    fill(kept)
    kept.folder.joinpath("00001.npy").unlink()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(
        InputError, match=r"cannot keep features in .* \(No space left on device\); free some space, or"
    ):
        fill(kept)
    assert kept.missing == [1] and not list(kept.folder.glob(".*"))


def keep_random(config, splits=("train", "validation")) -> None:
    """Fills the folder of a config's features with random ones, as if the trunk had been run."""
    from mpnet_jax.methods import settings
    from mpnet_jax.methods.registry import method_of

    method = method_of(config)
    spec = settings.feature_spec(config, method.frame_trunk(method.initial_state()))
    rng = np.random.default_rng(0)
    for split in splits:
        kept = KeptFeatures(
            RecordStore.open(Path(config.data.directory), "tiny", split), spec, Path(config.data.feature_directory)
        )
        for piece in kept.missing:
            kept.write(piece, rng.random((len(kept.frames_of(piece)), spec.views, 1, 1, FEATURES)))


@pytest.fixture(scope="module")
def straight(tiny_set, tmp_path_factory):
    """Folder of features and workdir of a run of the recipe with kept features."""
    folder = tmp_path_factory.mktemp("recipe")
    config = recipe(tiny_set, folder / "features")
    keep_random(config)
    assert train(config, folder / "run") == 0
    return folder


def test_training_with_muon_and_means_writes_finite_losses_of_both_kinds(straight):
    lines = read_lines(straight / "run" / LOSSES)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert all(0 < line["loss_class"] < 10 and 0 < line["loss_minus"] < 10 for line in lines)


def test_the_best_checkpoint_holds_the_means_that_were_validated(straight):
    from mpnet_jax.methods.registry import method_of
    from mpnet_jax.run.checkpoint import Checkpoints

    model = read_run(straight / "run")
    checkpoints = Checkpoints(straight / "run", read_only=True)
    latest = checkpoints.restore(method_of(model.method.config).state_at(6), kind="latest")
    template = {"params": latest.params, "batch_stats": latest.batch_stats}
    means = checkpoints.restore_variables(template, kind="latest")
    checkpoints.close()
    assert set(latest.average["params"]) == {"frame_net", "minus_net", "class_head"}
    assert set(latest.average["params"]["frame_net"]) == {"norm_out", "conv_out"}
    mean, last = (v["params"]["minus_net"]["up_0"]["kernel"] for v in (means, template))
    assert 0 < np.abs(mean - last).max() < 0.1
    trunk = model.variables["params"]["frame_net"]["trunk"]
    np.testing.assert_array_equal(
        trunk["stem"]["conv"]["kernel"], template["params"]["frame_net"]["trunk"]["stem"]["conv"]["kernel"]
    )


def test_passes_that_share_features_separate_as_those_that_look_at_the_frames(straight, tiny_set):
    from mpnet_jax.run.checkpoint import Checkpoints
    from mpnet_jax.weights.trained import TrainedNetworks

    method = read_run(straight / "run").method
    checkpoints = Checkpoints(straight / "run", read_only=True)
    networks = TrainedNetworks(method, checkpoints, "best")
    checkpoints.close()
    features, (separator,) = networks.features(), networks.separators().values()
    rng = np.random.default_rng(0)
    spectrum, px = (method.audio.freq_bins, method.audio.time_frames), method.data.frames.crop_px
    batch = {
        "frames": rng.integers(0, 256, (3, 2, method.data.frames.count, px, px, 3), np.uint8),
        "mixture_magnitude": rng.random((3, *spectrum), np.float32),
        "mixture_phase": rng.random((3, *spectrum), np.float32),
        "source_magnitude": rng.random((3, 2, *spectrum), np.float32),
        "source_waveform": rng.random((3, 2, method.audio.clip_samples), np.float32),
        "valid": np.ones(3, bool),
        "index": np.arange(3),
    }
    looking, sharing = (
        list(separate_mixtures(separator, [batch], {"again": separator}, features=each)) for each in (None, features)
    )
    for own, shared in zip(looking, sharing, strict=True):
        for name in ("separated", "swapped", "mask"):
            np.testing.assert_allclose(getattr(shared, name), getattr(own, name), atol=1e-4)
        np.testing.assert_array_equal(shared.others["again"].waveform, shared.separated)
        assert np.abs(own.separated - own.swapped).max() > 1e-3


def test_an_interrupted_run_of_the_recipe_resumes_bit_equal(straight, tiny_set, tmp_path):
    # What a kill after step 5 leaves; tests/test_train.py kills a process.
    workdir = shutil.copytree(straight / "run", tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints" / "latest" / "6")
    lines = (workdir / LOSSES).read_text().splitlines(keepends=True)
    (workdir / LOSSES).write_text("".join(lines[:5]))
    assert train(recipe(tiny_set, straight / "features"), workdir) == 0
    assert losses(workdir) == losses(straight / "run")


@pytest.mark.slow
def test_training_from_features_and_from_pictures_gives_equal_losses(tiny_set, tmp_path):
    same = {"mixing.augment": False, "data.feature_views": 1, "model.feature_noise": 0.0, "model.feature_dropout": 0.0}
    # With the distance of the stored frames, each frame has features of its own.
    every = 1 / tiny_config(tiny_set).data.fps
    kept = recipe(tiny_set, tmp_path / "features", **same, **{"data.feature_seconds": every, "rounds.minus": 3})
    seen = recipe(tiny_set, tmp_path / "features", **same, **{"data.feature_seconds": 0.0, "rounds.minus": 3})
    assert train(kept, tmp_path / "kept") == train(seen, tmp_path / "seen") == 0
    np.testing.assert_allclose(
        [loss for _, loss in losses(tmp_path / "kept")], [loss for _, loss in losses(tmp_path / "seen")], rtol=2e-3
    )


@pytest.mark.slow
@pytest.mark.e2e
def test_a_pass_that_is_killed_loses_only_the_piece_in_work(tiny_set, tmp_path):
    config_file(tmp_path, tiny_set)
    script = tmp_path / "keep.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from data_pipeline.records import features
        features.PIECE = 4
        from tests.run.test_features import recipe
        from mpnet_jax.train import train
        train(recipe(Path({str(tiny_set)!r}), Path(sys.argv[1]), **{{"rounds.minus": 1}}), Path(sys.argv[2]))
        """)
    )

    def begin(name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(script), str(tmp_path / name), str(tmp_path / f"{name}_run")]
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})

    def pieces(name: str) -> dict[str, bytes]:
        found = (tmp_path / name).rglob("*.npy")
        return {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in found}

    process = begin("killed")
    deadline = time.monotonic() + 250
    while not pieces("killed"):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = pieces("killed")
    assert begin("killed").wait() == begin("whole").wait() == 0
    assert pieces("killed") == pieces("whole") and before.items() <= pieces("whole").items()
    assert 0 < len(before) < len(pieces("whole"))


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "pixelplayer", "rounds.minus": 0, "rounds.both": 2},
        {
            "method": "miml",
            "mask": "ratio",
            "rounds.minus": 0,
            "rounds.both": 2,
            "loss.class_weight": 0.0,
            "miml.class_steps": 2,
            "miml.class_mixtures": 4,
            "miml.mixtures": 8,
            "miml.iterations": 2,
            "miml.bases": 4,
            "miml.features": 8,
        },
    ],
    ids=["pixelplayer", "miml"],
)
def test_the_baselines_learn_from_kept_features(changes, tiny_set, tmp_path):
    config = recipe(tiny_set, tmp_path / "features", **changes)
    keep_random(config)
    assert train(config, tmp_path / "run") == 0
    assert [step for step, _ in losses(tmp_path / "run")] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"data.feature_seconds": 0.0, "mixing.classifier_share": 0.2},
            r"classifier_share=0\.2 needs kept features; set it to 0, or give config\.data\.feature_seconds",
        ),
        (
            {"model.frame_net": "resnet18"},
            r"feature_noise and \.feature_dropout need pretrained features; set them",
        ),
        (
            {"model.frame_net_trained": "all"},
            r"feature_seconds=0\.5 keeps features of a frozen trunk, and the trunk of .* learns; set it to 0, or",
        ),
        ({"model.frame_net_trained": "nothing"}, r"class_weight trains the frame network's head, and"),
        (
            {
                "method": "miml",
                "rounds.minus": 0,
                "rounds.both": 2,
                "model.frame_net_trained": "nothing",
                "loss.class_weight": 0.0,
            },
            r"frame_net_trained=nothing leaves MIML's class network untrained; set it to head or all",
        ),
        ({"miml.classes": 3}, r"miml\.classes=3 must be the data set's number of classes; .* has 4"),
        ({"model.frame_net": "resnet50"}, r"model\.frame_net='resnet50' is unknown; use one of resnet18, eff"),
    ],
)
def test_fields_that_do_not_go_together_are_refused_in_one_sentence(changes, sentence, tiny_set, tmp_path):
    from mpnet_jax.config.check import check

    config = recipe(tiny_set, tmp_path / "features", **changes)
    with pytest.raises(InputError, match=sentence):
        check(config)
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.e2e
def test_two_processes_share_the_pass(tiny_set, tmp_path):
    path = config_file(tmp_path, tiny_set)
    changes = [f"--config.{name}={value}" for name, value in RECIPE.items()]
    arguments = (
        f"--config={path}",
        f"--config.data.feature_directory={tmp_path / 'features'}",
        "--config.rounds.minus=2",
    )
    processes = start_several("mpnet_jax.train", *arguments, *changes, f"--workdir={tmp_path / 'run'}")
    outputs = [process.communicate(timeout=280)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [step for step, _ in losses(tmp_path / "run")] == [1, 2]
    assert len(list((tmp_path / "features").rglob("*.npy"))) == 2
