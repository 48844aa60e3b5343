"""Tests of the command `mpnet-jax models`, and of `mpnet-jax` with variables that JAX refuses."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from data_pipeline.command import InputError
from mpnet_jax import list_models
from mpnet_jax.methods.registry import method_of
from mpnet_jax.weights import catalogue
from mpnet_jax.weights.model_file import ModelFile, write_model
from tests.support.repository import ROOT
from tests.support.tiny_run import run, tiny_config


@pytest.fixture
def file(tmp_path, tiny_set):
    method = method_of(tiny_config(tiny_set))
    variables = jax.tree.map(np.asarray, method.initial_state().variables)
    facts = {"method": "mnet", "step": 12_345, "networks": "0123456789abcdef"}
    write_model(tmp_path / "mine.safetensors", ModelFile(method, variables, facts))
    return tmp_path / "mine.safetensors"


def test_the_models_that_ship_are_complete():
    (small,) = catalogue.shipped()
    assert (small["name"], small["licence"], small["rate_hz"]) == ("small", "Apache-2.0", 11_025)
    assert len(small["sounds"]) == 11 and small["epsilon_from"] == "validation"
    with open(small["card"], encoding="utf-8") as card:
        text = card.read()
    assert small["networks"] in text and small["licence"] in text
    # The card gives the parameters of each network in millions.
    assert small["parameters"] == pytest.approx(1e6 * (3.39 + 1.75 + 1.75), rel=0.01)
    assert small["bytes"] < 16 * 2**20


def test_a_model_file_is_described(file):
    found = catalogue.described(file)
    assert found["sounds"] == ["high", "low", "middle", "top"]
    assert (found["name"], found["data"], found["step"], found["epsilon_from"]) == ("mine", "tiny", 12_345, "default")
    assert found["licence"] is found["card"] is None
    lines = list_models.text(found).splitlines()
    assert lines[:2] == ["mine", "  sounds:   high, low, middle, top"]
    assert "  epsilon:  0.200, the default" in lines and not any("licence" in line for line in lines)
    missing = list_models.text(found | {"sounds": None})
    assert "  sounds:   those of its data set, which is not there\n" in missing


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        catalogue.described(tmp_path)


@pytest.mark.e2e
def test_the_command_prints_text_and_json(file):
    status, output = run("mpnet_jax", "models")
    assert status == 0 and output.startswith("small\n  sounds:   accordion, "), output
    status, output = run("mpnet_jax", "models", str(file), "--json")
    assert status == 0 and [model["name"] for model in json.loads(output)] == ["mine"], output


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"JAX_PLATFORMS": "cuda"}, "error: JAX finds no device with JAX_PLATFORMS='cuda'"),
        ({"JAX_ENABLE_X64": "maybe"}, "error: JAX refuses an environment variable"),
    ],
)
def test_a_variable_that_jax_refuses_is_one_sentence(variables, sentence):
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("this machine has a GPU")
    status, output = run("mpnet_jax", "models", **variables)
    assert status == 2 and output.startswith(sentence) and output.count("\n") == 1, output


def test_every_command_of_the_list_exists():
    program = "import importlib.util; from mpnet_jax.__main__ import COMMANDS; "
    program += "print([name for name, (module, _) in COMMANDS.items() if importlib.util.find_spec(module) is None])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "[]\n"
