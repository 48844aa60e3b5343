"""Tests that environment variables, the home folder and the locale change no result of a command."""

import json
import os
from pathlib import Path

import jax
import pytest

from data_pipeline.command import InputError
from mpnet_jax.convert import convert
from mpnet_jax.evaluate import evaluate
from mpnet_jax.evaluation.options import EvaluationOptions
from mpnet_jax.methods.registry import method_of
from mpnet_jax.pretrained import torch_weights
from mpnet_jax.processes import environment
from mpnet_jax.run.checkpoint import Checkpoints
from mpnet_jax.run.log import LOSSES, read_lines
from mpnet_jax.train import train
from mpnet_jax.weights.model_file import write_model
from mpnet_jax.weights.trained import fingerprint_of, load, read_run
from tests.separation.conftest import separate_video
from tests.support.repository import ROOT
from tests.support.tiny_run import config_file, run, tiny_config
from tests.support.tiny_videos import write_video
from tests.test_convert import state_dict, write_torch

# No folder can be made in a device file, whoever runs the tests.
NO_HOME = {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "", "MPNET_JAX_CACHE": ""}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}
STRANGE = {"JAX_ENABLE_X64": "1", "JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_DEFAULT_PRNG_IMPL": "rbg"}
STRANGE |= {"JAX_THREEFRY_PARTITIONABLE": "0", "JAX_RANDOM_SEED_OFFSET": "7", "JAX_DISABLE_JIT": "1"}
STRANGE |= {"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16", "JAX_NUMPY_RANK_PROMOTION": "raise"} | NO_HOME | ASCII


@pytest.fixture
def compiled_in(monkeypatch):
    """The folders of compiled programs that JAX is configured with."""
    folders = []
    monkeypatch.setattr(jax.config, "update", lambda _, folder: folders.append(folder))
    monkeypatch.delenv("MPNET_JAX_CACHE", raising=False)
    return folders


def test_one_process_keeps_programs_in_the_users_folder(compiled_in, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    environment.prepare()
    assert compiled_in == [str(tmp_path / "cache" / "mpnet_jax" / "compiled")]


def test_several_processes_keep_programs_only_in_a_given_folder(compiled_in, monkeypatch, tmp_path):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    environment.prepare()
    assert compiled_in == []
    monkeypatch.setenv("MPNET_JAX_CACHE", str(tmp_path / "share"))
    environment.prepare()
    assert compiled_in == [str(tmp_path / "share")]


def test_a_tilde_in_the_folder_of_programs_is_the_home_folder(compiled_in, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MPNET_JAX_CACHE", "~/compiled")
    environment.prepare()
    assert compiled_in == [str(tmp_path / "compiled")]


def test_a_value_that_jax_refuses_is_one_sentence():
    status, output = run("mpnet_jax.train", JAX_ENABLE_X64="maybe")
    assert status == 2
    assert output.startswith("error: JAX refuses an environment variable (invalid truth value 'maybe'")
    assert output.count("\n") == 1


@pytest.mark.parametrize("refusal", ["a file", "no permission"])
def test_without_a_folder_programs_are_not_kept(compiled_in, monkeypatch, tmp_path, caplog, refusal):
    folder = tmp_path / "cache"
    if refusal == "a file":
        folder.touch()
    else:
        monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    monkeypatch.setenv("MPNET_JAX_CACHE", str(folder / "compiled"))
    environment.prepare()
    assert compiled_in == []
    assert f"compiled programs are not kept, since {folder / 'compiled'} cannot be written" in caplog.text


def test_without_a_home_folder_programs_are_not_kept(compiled_in, monkeypatch):
    def no_home():
        raise RuntimeError

    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(Path, "home", no_home)
    environment.prepare()
    assert compiled_in == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jax_enable_x64", True),
        ("jax_threefry_partitionable", False),
        ("jax_random_seed_offset", 7),
        ("jax_default_matmul_precision", "bfloat16"),
        ("jax_disable_jit", True),
    ],
)
def test_settings_that_change_results_are_not_used_and_reported(caplog, name, value):
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        environment.prepare()
        assert getattr(jax.config, name) == before
        assert f"{name.upper()}={value} is not used; this command sets {before}" in caplog.text
    finally:
        jax.config.update(name, before)


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unable to initialize\nbackend 'cuda'")])
def test_a_missing_device_is_one_sentence(monkeypatch, error):
    def no_devices():
        raise error

    monkeypatch.setattr(jax, "devices", no_devices)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(InputError, match=r"^JAX finds no device with JAX_PLATFORMS='cuda'.*; unset JAX_PLATFORMS"):
        environment.prepare()


@pytest.mark.e2e
def test_a_command_without_its_device_ends_with_one_sentence(tmp_path):
    flags = (f"--workdir={tmp_path / 'run'}", f"--out={tmp_path / 'model.safetensors'}")
    status, output = run("mpnet_jax.export", *flags, JAX_PLATFORMS="no_such_device")
    assert status == 2 and output.count("\n") == 1, output
    assert output.startswith("error: JAX finds no device with JAX_PLATFORMS='no_such_device' (Unable to initialize")


@pytest.mark.parametrize("module", ["train", "evaluate", "separation/separator", "convert", "export"])
def test_commands_that_compute_prepare_jax(module):
    assert (ROOT / "mpnet_jax" / f"{module}.py").read_text().count("environment.prepare()") == 1


@pytest.mark.parametrize("method", ["mpnet", "pixelplayer", "miml"])
def test_networks_are_float32_also_where_64_bits_are_the_default(method):
    config = tiny_config(Path("data"))
    if method == "mpnet":
        config.rounds.plus = 2
    else:
        config.rounds.minus, config.rounds.both = 0, 2
    config.method = method
    with jax.enable_x64(True):
        state = jax.eval_shape(lambda: method_of(config).initial_state())
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(state.variables)} == {"float32"}


def network_hash(config, workdir):
    checkpoints = Checkpoints(workdir, read_only=True)
    template = jax.eval_shape(lambda: method_of(config).initial_state().variables)
    variables = checkpoints.restore_variables(template, kind="latest")
    checkpoints.close()
    return fingerprint_of(variables)


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(900)  # five processes that compile everything
def test_every_command_gives_the_same_bits_in_a_strange_environment(tiny_set, tmp_path):
    config = tiny_config(tiny_set)
    config.rounds.minus = 2
    usual, strange = tmp_path / "usual", tmp_path / "strange"
    weights = write_torch(
        tmp_path / "frame.pth",
        state_dict(
            torch_weights.resnet_names(),
            jax.eval_shape(
                lambda: {part: nets["frame_net"] for part, nets in method_of(config).initial_state().variables.items()}
            ),
        ),
    )
    video = write_video(tmp_path / "größe.mov", seconds=2.0, rate_hz=8000)
    flags = (f"--config={config_file(tmp_path, tiny_set)}", "--config.rounds.minus=2")

    assert train(config, usual) == 0
    results = evaluate(config, usual, EvaluationOptions("test"))
    write_model(tmp_path / "usual.safetensors", read_run(usual))
    convert(config, tmp_path / "usual_converted", {"frame": weights})
    separate_video(video, tmp_path / "usual_sounds", load(usual), dict(sounds=2, videos=False))

    for module, *arguments in (
        ("train", *flags, f"--workdir={strange}"),
        ("evaluate", *flags, f"--workdir={strange}"),
        ("export", f"--workdir={strange}", f"--out={tmp_path / 'strange.safetensors'}"),
        ("convert", *flags, f"--workdir={tmp_path / 'strange_converted'}", f"--frame={weights}"),
        (
            "separate",
            f"--video={video}",
            f"--out={tmp_path / 'fremde Töne'}",
            f"--workdir={strange}",
            "--sounds=2",
            "--novideos",
        ),
    ):
        status, output = run(f"mpnet_jax.{module}", *arguments, **STRANGE)
        assert status == 0 and "Traceback" not in output, output
        assert "JAX_ENABLE_X64=True is not used; this command sets False" in output
        assert output.count("compiled programs are not kept") == 1

    assert read_lines(strange / LOSSES) == read_lines(usual / LOSSES)
    again = json.loads((strange / "metrics.json").read_text())
    assert again["methods"] == json.loads(json.dumps(results["methods"]))
    assert again["run"]["networks"] == results["run"]["networks"]
    for kind in (".safetensors", ".json"):
        assert (tmp_path / f"strange{kind}").read_bytes() == (tmp_path / f"usual{kind}").read_bytes()
    assert network_hash(config, tmp_path / "strange_converted") == network_hash(config, tmp_path / "usual_converted")
    for name in ("sound1.wav", "sound2.wav", "residual.wav"):
        sound = (tmp_path / "fremde Töne" / name).read_bytes()
        assert sound == (tmp_path / "usual_sounds" / name).read_bytes()
