import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy

from data_pipeline.command import InputError
from mpnet_jax.config import saved_config
from mpnet_jax.convert import convert_model
from mpnet_jax.methods.registry import method_of
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.weights import trained as module
from mpnet_jax.weights.model_file import ModelFile, read_model, write_model
from mpnet_jax.weights.trained import EPSILON_RELATIVE, load, read_run
from tests.support.short_frame_net import ShortFrameNet
from tests.support.tiny_run import tiny_config


@pytest.fixture(scope="module", autouse=True)
def short_frame_net():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
        yield


@pytest.fixture(scope="module")
def tiny() -> ModelFile:
    config = tiny_config(Path("data"))
    config.rounds.both = 2
    variables = jax.tree.map(np.asarray, method_of(config).initial_state().variables)
    return ModelFile(
        method_of(config), variables, {"method": "mpnet", "step": 7, "networks": "abc", "epsilon_relative": 0.3}
    )


@pytest.fixture
def written(tiny, tmp_path) -> Path:
    path = tmp_path / "models" / "tiny.safetensors"
    write_model(path, tiny)
    return path


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory) -> Path:
    """A workdir whose best MP-Net checkpoint holds the tiny networks."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    saved_config.claim_workdir(workdir, tiny.method.config)
    checkpoints = Checkpoints(workdir)
    state = tiny.method.state_at(8)
    checkpoints.save_best(state.replace(step=np.int32(8)), 1.0, method="mpnet")
    checkpoints.close()
    return workdir


def test_a_model_is_restored_from_half_precision(tiny, written):
    restored = read_model(written)
    assert restored.method.flat_config() == tiny.method.flat_config()
    assert restored.facts == tiny.facts
    assert jax.tree.structure(restored.variables) == jax.tree.structure(tiny.variables)
    for before, after in zip(jax.tree.leaves(tiny.variables), jax.tree.leaves(restored.variables), strict=True):
        assert after.dtype == before.dtype
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-6)  # 11 bits
    numbers = sum(leaf.size for leaf in jax.tree.leaves(tiny.variables))
    vectors = sum(leaf.size for leaf in jax.tree.leaves(tiny.variables) if leaf.ndim < 3)
    assert written.stat().st_size < 2 * (numbers + vectors) + 200 * len(jax.tree.leaves(tiny.variables))
    assert {path.name for path in written.parent.iterdir()} == {"tiny.safetensors", "tiny.json"}


def test_a_value_outside_the_range_of_float16_is_refused(tiny, tmp_path):
    wrong = jax.tree.map(lambda x: np.full_like(x, 1e6 if x.ndim > 1 else np.nan), tiny.variables)
    with pytest.raises(InputError, match=r"holds a number that float(16|32) cannot"):
        write_model(tmp_path / "a.safetensors", tiny._replace(variables=wrong))
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        write_model(tmp_path / "a.npz", tiny)
    assert list(tmp_path.iterdir()) == []


def test_large_running_variances_are_kept(tiny, tmp_path):
    statistics = jax.tree.map(lambda x: np.full_like(x, 1e6), tiny.variables["batch_stats"])
    write_model(tmp_path / "a.safetensors", tiny._replace(variables=tiny.variables | {"batch_stats": statistics}))
    restored = read_model(tmp_path / "a.safetensors").variables["batch_stats"]
    assert all(np.all(leaf == 1e6) for leaf in jax.tree.leaves(restored))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.unlink(), "is not there; a model is two files"),
        (lambda path: path.with_suffix(".json").unlink(), "is not there; a model is two files"),
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), "is no readable safetensors file"),
        (lambda path: path.write_bytes(b"\x80\x04code"), "is no readable safetensors file"),
        (lambda path: path.with_suffix(".json").write_text("{"), "describes no model"),
        (lambda path: path.with_suffix(".json").write_text("[1]"), "describes no model"),
        (lambda path: path.with_suffix(".json").write_text('{"config": {}}'), "describes no model"),
        (lambda path: set_field(path, "audio.frequency_axis", "bark"), "frequency_axis='bark' is unknown"),
        (lambda path: path.with_suffix(".json").write_bytes(b"\xff\xfe"), "describes no model"),
        (lambda path: set_facts(path, epsilon_relative="much"), "epsilon_relative='much' is no share"),
        (lambda path: set_facts(path, epsilon_relative=float("nan")), "epsilon_relative=nan is no share"),
        (lambda path: set_field(path, "audio.frequency_axis", 7), "holds no config"),
        (lambda path: set_field(path, "audio.rows", 32), "has the field audio.rows, which this version does not know"),
        (lambda path: set_field(path, "model.unet_features", 8), "does not fit its config: batch_stats/minus_net"),
        (lambda path: set_field(path, "model.plus_features", 8), "does not fit its config: batch_stats/plus_net"),
    ],
)
def test_a_damaged_model_is_refused_in_one_sentence(written, damage, sentence):
    damage(written)
    with pytest.raises(InputError) as refused:
        read_model(written)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


def set_field(path: Path, field: str, value: object) -> None:
    config = json.loads(path.with_suffix(".json").read_text())["config"]
    set_facts(path, config=config | {field: value})


def set_facts(path: Path, **facts: object) -> None:
    config_file = path.with_suffix(".json")
    config_file.write_text(json.dumps(json.loads(config_file.read_text()) | facts))


def test_a_tensor_of_another_model_is_refused(written):
    tensors = safetensors.numpy.load_file(written)
    safetensors.numpy.save_file({name: x for name, x in tensors.items() if "plus_net" not in name}, written)
    with pytest.raises(InputError, match=r"batch_stats/plus_net.* has shape None there"):
        read_model(written)


def test_the_best_networks_of_a_run_are_read(run, tiny):
    model = read_run(run)
    assert (model.facts["method"], model.facts["step"]) == ("mpnet", 8)
    assert model.method.flat_config() == tiny.method.flat_config()
    for before, after in zip(jax.tree.leaves(tiny.variables), jax.tree.leaves(model.variables), strict=True):
        np.testing.assert_array_equal(before, after)


def test_reading_a_run_writes_nothing_into_it(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    assert not (copy / "checkpoints" / "latest").exists()
    before = sorted(copy.rglob("*"))
    read_run(copy)
    assert sorted(copy.rglob("*")) == before


def test_epsilon_is_read_from_an_evaluation_of_the_same_networks(run):
    assert load(run).about | {"source": ""} == read_run(run).facts | {
        "source": "", "epsilon_relative": EPSILON_RELATIVE, "epsilon_from": "default"
    }  # fmt: skip
    networks = read_run(run).facts["networks"]
    metrics = {"run": {"networks": {"mpnet": networks}}, "counting": {"pixels": {"epsilon_relative": 0.07}}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert (load(run).epsilon_relative, load(run).about["epsilon_from"]) == (0.07, "validation")
    metrics["run"]["networks"]["mpnet"] = "of earlier networks"
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert load(run).about["epsilon_from"] == "default"


def test_without_a_run_the_shipped_model_is_loaded(written, monkeypatch):
    monkeypatch.setattr(module, "SHIPPED", written)
    shipped = load(None)
    assert shipped.about["source"] == "pretrained/tiny.safetensors" and shipped.epsilon_relative == 0.3
    monkeypatch.setattr(module, "SHIPPED", written.with_name("other.safetensors"))
    with pytest.raises(InputError, match=r"no model ships with this version .* give --workdir=RUN"):
        load(None)


@pytest.mark.parametrize(
    ("recorded", "sentence"),
    [
        (None, "holds no run; train one"),
        ({"method": "pixelplayer", "rounds.minus": 0, "rounds.plus": 0}, "method pixelplayer has no recursion"),
        ({"name": "empty"}, "no latest checkpoint"),
        ({"no.such": 1}, "has the field no.such"),
    ],
)
def test_a_workdir_without_networks_is_refused_in_one_sentence(tmp_path, recorded, sentence):
    if recorded is not None:
        (tmp_path / "config.json").write_text(json.dumps(recorded))
    with pytest.raises(InputError, match=sentence):
        read_run(tmp_path)


@pytest.mark.parametrize("average_decay", [0.0, 0.9])
def test_a_model_file_becomes_a_run_again(tiny, written, tmp_path, average_decay):
    config = tiny.method.config.copy_and_resolve_references()
    config.optimiser.average_decay = average_decay
    convert_model(config, tmp_path / "run", written)
    model, file = read_run(tmp_path / "run"), read_model(written)
    assert model.facts["method"] == "mpnet"
    assert model.method.flat_config() == method_of(config).flat_config()
    for before, after in zip(jax.tree.leaves(file.variables), jax.tree.leaves(model.variables), strict=True):
        np.testing.assert_array_equal(before, after)
    with pytest.raises(InputError, match="holds a run already"):
        convert_model(config, tmp_path / "run", written)


def test_a_model_file_of_other_networks_becomes_no_run(written, tmp_path):
    other = tiny_config(Path("data"))
    other.model.unet_features += 1
    with pytest.raises(InputError, match="holds other networks than config"):
        convert_model(other, tmp_path / "run", written)
    assert not (tmp_path / "run").exists()
