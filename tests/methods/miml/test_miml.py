"""Tests of MIML: its loss, network and dictionary by hand, its separation with known bases, and a run."""

import dataclasses
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from data_pipeline.command import InputError
from mpnet_jax.evaluate import evaluate
from mpnet_jax.evaluation import options
from mpnet_jax.evaluation.options import EvaluationOptions, open_stores
from mpnet_jax.methods.miml import basis_bank, class_training
from mpnet_jax.methods.miml.basis_bank import BasisBank
from mpnet_jax.methods.miml.class_net import ClassNet
from mpnet_jax.methods.miml.network import MIML
from mpnet_jax.methods.miml.steps import RELATION_NET, make_miml_separate_step, make_miml_train_step, multi_label_margin
from mpnet_jax.methods.registry import method_of
from mpnet_jax.models.frame_net import FrameNetSpec
from mpnet_jax.parallel import DEVICE_AXIS
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.run.log import LOSSES, read_lines
from mpnet_jax.spectrogram.frequency import frequency_axis
from mpnet_jax.steps.train_state import TrainState
from mpnet_jax.steps.train_step import Learning
from mpnet_jax.train import train
from mpnet_jax.weights.trained import TrainedNetworks
from tests.steps.test_train_step import AUDIO, ROWS
from tests.support.random_variables import random_variables
from tests.support.short_frame_net import ShortFrameNet
from tests.support.tiny_run import tiny_config

MODEL = MIML(classes=3, concepts=2, features=5)
AXIS = frequency_axis("log", ROWS, AUDIO)
FIELDS = {
    "method": "miml",
    "mask": "ratio",
    "rounds.minus": 0,
    "rounds.both": 4,
    "miml.classes": 4,
    "miml.class_steps": 20,
    "miml.class_mixtures": 4,
    "miml.mixtures": 40,  # one full file and a part of another
    "miml.bases": 3,
    "miml.iterations": 20,
    "miml.features": 8,
    "miml.bases_of_class": 6,
    "miml.separation_iterations": 20,
    "evaluation.other_mixtures": 3,
    "evaluation.far.name": "tiny",
}


def test_loss_by_hand():
    scores = jnp.array([[0.1, 0.2, 0.4, 0.8], [0.0, 3.0, 1.5, 0.0], [5.0, 1.0, 1.0, 1.0]])
    present = jnp.array([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    # ((1 - (.1 - .2)) + (1 - (.1 - .4)) + (1 - (.8 - .2)) + (1 - (.8 - .4))) / 4; all margins over 1; no class present.
    np.testing.assert_allclose(multi_label_margin(scores, present), [0.85, 0.0, 0.0], rtol=1e-6)


def test_loss_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((20, 7)).astype(np.float32)
    present = (rng.random((20, 7)) < 0.4).astype(np.float32)
    numbers = np.full((20, 7), -1)
    for row, classes in zip(numbers, present, strict=True):
        row[: int(classes.sum())] = np.flatnonzero(classes)
    theirs = torch.nn.MultiLabelMarginLoss(reduction="none")(torch.from_numpy(scores), torch.from_numpy(numbers))
    np.testing.assert_allclose(multi_label_margin(jnp.asarray(scores), jnp.asarray(present)), theirs, rtol=1e-5)


def test_network_by_hand():
    bases = jnp.asarray(np.random.default_rng(0).random((2, 4, 6)), jnp.float32)
    variables = random_variables(MODEL, bases)
    x = np.asarray(bases, np.float64)
    for layer in range(2):
        dense, norm, statistics = (
            variables[kind]["relation_net"][f"{name}_{layer}"]
            for kind, name in (("params", "Dense"), ("params", "BatchNorm"), ("batch_stats", "BatchNorm"))
        )
        x = x @ dense["kernel"] + dense["bias"]
        x = np.maximum((x - statistics["mean"]) / np.sqrt(statistics["var"] + 1e-5) * norm["scale"] + norm["bias"], 0)
    relations = x.reshape(2, 4, 3, 2).max(-1)
    np.testing.assert_allclose(MODEL.apply(variables, bases, method="relate"), relations, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(MODEL.apply(variables, bases), relations.max(1), rtol=1e-4, atol=1e-5)


def test_paper_size():
    shapes = jax.eval_shape(MIML(25, 4, 1024).init, jax.random.key(0), jnp.zeros((1, 25, 2401)))
    count = sum(x.size for x in jax.tree.leaves(shapes["params"]))
    assert count == 2401 * 1024 + 1024 * 100 + 3 * (1024 + 100)  # one bias, one scale and one offset per channel


def test_a_step_learns_the_classes_of_clips():
    rng = np.random.default_rng(0)
    bases = rng.random((16, 4, 6)).astype(np.float32)
    present = np.eye(3, dtype=np.float32)[np.arange(16) % 3]
    bases[np.arange(16), 0, np.arange(16) % 3] += 5.0  # one basis of each clip reveals the class
    variables = jax.jit(MODEL.init)(jax.random.key(0), bases)
    optimiser = optax.adam(0.02)
    step = make_miml_train_step(MODEL, Learning(optimiser, (RELATION_NET,)), axis_name=DEVICE_AXIS)
    mapped = jax.vmap(step, in_axes=(None, 0), axis_name=DEVICE_AXIS)
    step = jax.jit(lambda state, batch: jax.tree.map(lambda x: x[0], mapped(state, batch)))
    state = TrainState(jnp.zeros((), jnp.int32), variables["params"], variables["batch_stats"], ())
    state = state.with_optimiser(optimiser, (RELATION_NET,))
    losses = []
    for _ in range(40):
        state, metrics = step(state, {"bases": bases[None], "present": present[None]})
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.2 * losses[0]
    assert metrics["first_is_there"] == 1.0


def test_dictionary_by_hand():
    bases = np.zeros((2, 2, 3), np.float32)
    bases[0], bases[1, 0] = [[1, 0, 0], [0, 1, 0]], [0, 0, 1]  # the second clip's second basis is silent
    present = np.array([[1, 1, 0], [1, 0, 0]], np.float32)
    relations = np.array([[[0.6, 0.4, 0.0], [0.2, 0.1, 0.7]], [[0.5, 0.4, 0.1], [1.0, 0.0, 0.0]]], np.float32)
    bank = BasisBank(bases, present)
    dictionary = basis_bank.dictionary(bank, relations, threshold=1.2, most=3)
    # Class 0 occurs in both clips, class 1 in the first one, class 2 in none.
    assert sorted(dictionary[0].tolist()) == [[0, 0, 0], [0, 0, 1], [1, 0, 0]]
    np.testing.assert_array_equal(dictionary[1], [[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert not dictionary[2].any()
    assert len(np.unique(basis_bank.dictionary(bank, relations, threshold=0.0, most=1)[0], axis=0)) == 1


def test_batches_have_every_clip_once_per_epoch_and_start_at_any_step():
    bank = BasisBank(np.arange(5, dtype=np.float32)[:, None, None], np.zeros((5, 2), np.float32))

    def clips(first_step, steps):
        batches = basis_bank.training_batches(bank, batch_size=4, seed=3, first_step=first_step)
        return [next(batches)["bases"].ravel().tolist() for _ in range(steps)]

    drawn = clips(0, 5)
    for epoch in np.array(drawn).reshape(4, 5):
        assert sorted(epoch) == [0, 1, 2, 3, 4]
    assert clips(2, 3) == drawn[2:]


@pytest.mark.parametrize("mask", ["ratio", "binary"])
def test_a_known_dictionary_separates_by_true_and_by_predicted_classes(mask, monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    rng = np.random.default_rng(0)
    dictionary = np.zeros((3, 2, AUDIO.freq_bins), np.float32)
    for label in range(3):  # the classes have disjoint rows
        dictionary[label, :, label::3] = rng.random((2, len(range(label, AUDIO.freq_bins, 3)))) + 0.1
    labels = np.array([[2, 0], [1, 2]])
    gains = rng.gamma(0.5, 1.0, (2, 2, 2, AUDIO.time_frames)).astype(np.float32)
    sources = np.einsum("bskf,bskt->bsft", dictionary[labels], gains)
    batch = {
        "mixture_magnitude": sources.sum(1),
        "mixture_phase": np.zeros_like(sources[:, 0]),
        "source_magnitude": sources,
        "source_label": labels,
    }
    options = {"axis": AXIS, "audio": AUDIO, "floor": 0.0, "mask": mask, "beta": 1.0, "iterations": 30}
    run = make_miml_separate_step(None, **options)
    out = jax.tree.map(np.asarray, jax.jit(run)({"dictionary": dictionary}, batch))
    np.testing.assert_allclose(out["magnitude"], sources, atol=1e-4)
    assert out["mask"].min() >= 0 and out["mask"].max() <= 1
    swapped = jax.jit(run)({"dictionary": dictionary}, batch | {"source_label": labels[:, ::-1]})
    np.testing.assert_allclose(swapped["magnitude"], sources[:, ::-1], atol=1e-4)
    # With a class network, the classes are its predictions, not the labels.
    class_net = ClassNet(3, FrameNetSpec(resnet_features=2))
    frames = jnp.asarray(rng.integers(0, 255, (2, 2, 1, 16, 16, 3), np.uint8))
    variables = {"dictionary": jnp.asarray(dictionary), "class_net": random_variables(class_net, frames)}
    predicted = np.argmax(jax.jit(class_net.apply)(variables["class_net"], frames), -1)
    by_net = jax.jit(make_miml_separate_step(class_net, **options))(variables, batch | {"frames": frames})
    by_label = jax.jit(run)(variables, batch | {"source_label": predicted})
    np.testing.assert_allclose(by_net["magnitude"], by_label["magnitude"], atol=1e-6)


def test_the_class_network_learns_the_classes_of_frames_and_resumes(monkeypatch, tmp_path):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (4, 2))
    frames = rng.integers(0, 60, (4, 2, 1, 16, 16, 3)).astype(np.uint8)
    for index in np.ndindex(labels.shape):
        frames[(*index, ..., labels[index])] += 150  # each class has its own colour
    config = miml_config(Path("nowhere"))
    config.update_from_flattened_dict({"miml.classes": 3, "miml.class_steps": 60, "frames.crop_px": 16})
    config.miml.class_rate = 0.03
    state, step = method_of(config).class_state(), method_of(config).class_step()
    first_steps = []

    def batches(first_step, batch_size):
        assert batch_size == len(frames)
        first_steps.append(first_step)
        while True:
            yield {"frames": frames, "source_label": labels, "source_magnitude": None}

    path = tmp_path / class_training.FILE
    with pytest.raises(InputError, match=r"class_net\.npz is gone; train with the same command"):
        class_training.load(path, state, steps=60)
    class_training.load_or_train(path, state, step, batches, steps=20, batch_size=4)
    with pytest.raises(InputError, match=r"class_net\.npz holds step 20 of 60; train with the same command"):
        class_training.load(path, state, steps=60)
    class_training.load_or_train(path, state, step, batches, steps=60, batch_size=4)
    class_training.load_or_train(path, state, step, batches, steps=60, batch_size=4)  # does nothing
    assert first_steps == [0, 20]
    variables = class_training.load(path, state, steps=60)
    scores = jax.jit(method_of(config).class_net().apply)(variables, frames)
    np.testing.assert_array_equal(np.argmax(scores, -1), labels)
    for content in (b"", b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"class_net\.npz holds no class network of this run .*; delete it"):
            class_training.load(path, state, steps=60)


def miml_config(data_dir):
    config = tiny_config(data_dir)
    config.update_from_flattened_dict(FIELDS)
    return config


@pytest.fixture(scope="module")
def config(tiny_set):
    return miml_config(tiny_set)


@pytest.fixture(scope="module")
def workdir(config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("miml") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
        assert train(config, workdir) == 0
        yield workdir


def bank_of(workdir) -> BasisBank:
    return basis_bank.load(workdir / basis_bank.FOLDER, mixtures=FIELDS["miml.mixtures"])


def test_a_run_saves_its_bases_and_is_evaluated(config, workdir):
    bank = bank_of(workdir)
    assert bank.bases.shape == (80, 3, 128) and bank.present.shape == (80, 4)
    np.testing.assert_allclose(bank.bases.max(-1), 1.0)
    np.testing.assert_array_equal(bank.present.sum(1), 1.0)  # solos
    assert [line["step"] for line in read_lines(workdir / LOSSES)] == [1, 2, 3, 4]
    out = evaluate(config, workdir, EvaluationOptions("test", mixes=(2, 3)))
    assert list(out["methods"]) == ["miml_told", "miml"] and out["run"]["method"] == "MIML"
    assert "true class of each visible clip" in out["definitions"]["MIML, told the classes"]
    assert out["mixes"]["3"]["miml"]["sdr"]["count"] == 3
    # The frames of the tiny data set do not show the classes.
    assert out["methods"]["miml_told"]["nsdr"]["mean"] > out["nsdr"]["mean"] + 10.0


def test_an_interrupted_run_resumes_bit_equal(config, workdir, tmp_path: Path):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    shutil.rmtree(copy / "checkpoints" / "latest" / "4")
    (copy / basis_bank.FOLDER / "00001.npz").unlink()
    assert train(config, copy) == 0
    assert read_lines(copy / LOSSES) == read_lines(workdir / LOSSES)
    for name in ("bases", "present"):
        np.testing.assert_array_equal(getattr(bank_of(copy), name), getattr(bank_of(workdir), name))
    fingerprints = []
    for folder in (copy, workdir):
        checkpoints = Checkpoints(folder)
        fingerprints.append(TrainedNetworks(method_of(config), checkpoints, "latest").fingerprints)
        checkpoints.close()
    assert fingerprints[0] == fingerprints[1]


def test_mixtures_can_be_the_clips_and_have_several_classes(config, workdir, tmp_path: Path):
    mixed = miml_config(Path(config.data.directory))
    mixed.miml.learns_from, mixed.rounds.both = "mixtures", 2
    assert train(mixed, tmp_path / "run") == 0
    bank = bank_of(tmp_path / "run")
    assert len(bank.bases) == 40
    np.testing.assert_array_equal(bank.present.sum(1), 2.0)
    np.testing.assert_array_equal(bank.present, bank_of(workdir).present.reshape(40, 2, 4).sum(1))


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_refuses_a_bank_that_cannot_be_read(config, workdir, tmp_path: Path, content):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    path = copy / basis_bank.FOLDER / "00000.npz"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    checkpoints = Checkpoints(copy)
    with pytest.raises(InputError, match=r"00000\.npz (is gone|holds no bases).* train with the same command"):
        TrainedNetworks(method_of(config), checkpoints, "latest")
    checkpoints.close()


def test_refuses_several_processes(config):
    with pytest.raises(InputError, match=r"config\.method=miml trains in one process, not in 2: .*; start one"):
        method_of(config).check_processes(2)
    method_of(tiny_config(Path(config.data.directory))).check_processes(2)


def test_refuses_configs_and_options_that_do_not_fit(config):
    other = miml_config(Path(config.data.directory))
    other.mixing.same_class = True
    with pytest.raises(InputError, match=r"config\.mixing\.same_class=True and config\.method=miml do not go together"):
        method_of(other)
    other = miml_config(Path(config.data.directory))
    other.miml.classes = 11
    with pytest.raises(InputError, match=r"config\.miml\.classes=11 must be the data set's number .* has 4"):
        open_stores(method_of(other), EvaluationOptions("test"))
    with pytest.raises(InputError, match=r"--far in .* has the classes high, .*; MIML knows the classes harp alone"):
        options._open_far(method_of(config), ("harp",))
    with pytest.raises(InputError, match=r"--counting needs the recursion, and config\.method=miml has none"):
        open_stores(method_of(config), dataclasses.replace(EvaluationOptions("test"), counting=True))
    with pytest.raises(InputError, match=r"config\.method=miml has no recursion"):
        method_of(config).count_step("miml", mode="clips")
