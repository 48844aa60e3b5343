"""Tests of converted weights: valid, damaged, of another network, or with code in the file."""

from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy

from data_pipeline.command import InputError
from mpnet_jax.convert import convert
from mpnet_jax.evaluate import evaluate
from mpnet_jax.evaluation.options import EvaluationOptions
from mpnet_jax.methods.registry import method_of
from mpnet_jax.pretrained import torch_weights
from mpnet_jax.run.checkpoint import UNSCORED, Checkpoints
from mpnet_jax.train import train
from tests.support import torch_files
from tests.support.short_frame_net import ShortFrameNet
from tests.support.tiny_run import tiny_config


def with_plus(data_dir=Path("data")):
    config = tiny_config(data_dir)
    config.rounds.minus, config.rounds.plus, config.rounds.both = 2, 2, 0
    return config


def state_dict(names, template, seed=0):
    """Returns random entries in PyTorch's layout for a network's variables."""
    rng = np.random.default_rng(seed)
    entries = {}
    for name, (collection, *layer) in names.items():
        leaf = template[collection]
        for key in layer:
            leaf = leaf[key]
        shape = leaf.shape[1:] if collection == "batch_stats" and leaf.ndim == 2 else leaf.shape
        if len(shape) == 2:  # a 1x1 convolution
            shape = (1, 1, *shape)
        if len(shape) == 4:
            shape = (shape[3], shape[2], shape[0], shape[1])
        entries[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        if name.endswith("running_mean"):
            entries[name.replace("running_mean", "num_batches_tracked")] = np.array(7)
    return entries


@pytest.fixture(scope="module")
def variables():
    """Shapes of the networks of the config `with_plus`."""
    state = jax.eval_shape(lambda: method_of(with_plus()).initial_state())
    return {net: {"params": state.params[net], "batch_stats": state.batch_stats[net]} for net in state.params}


def write_torch(path, entries, prefix=""):
    """Writes a PyTorch file whose tensors require gradients, as `torch.save(net.state_dict(keep_vars=True))` does."""
    kinds = {np.dtype(np.float32): "FloatStorage", np.dtype(np.int64): "LongStorage"}
    contents, storages = {}, {}
    for number, (name, value) in enumerate(entries.items()):
        strides = tuple(step // value.itemsize for step in np.ascontiguousarray(value).strides)
        stored = torch_files.storage(str(number), value.size, kinds[value.dtype])
        plain = torch_files.tensor(stored, 0, value.shape, strides if value.ndim else ())
        parameter = torch_files.name("torch._utils", "_rebuild_parameter")
        contents[prefix + name] = torch_files.call(parameter, plain, b"\x88", torch_files.mapping({}))
        storages[str(number)] = value
    path.write_bytes(torch_files.zip_file(torch_files.mapping(contents), storages))
    return path


UNET, RESNET = torch_weights.unet_names(3), torch_weights.resnet_names()


def test_every_variable_of_a_network_has_an_entry(variables):
    for net, names in (("minus_net", UNET), ("plus_net", UNET), ("frame_net", RESNET)):
        places = {tuple(key.key for key in path) for path, _ in jax.tree.leaves_with_path(variables[net])}
        assert places == set(names.values())


def test_entries_are_converted_to_their_variables(variables):
    template = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), variables["minus_net"])
    entries = state_dict(UNET, template)
    out = torch_weights.to_flax(entries, UNET, template)
    assert jax.tree.map(np.shape, out) == jax.tree.map(np.shape, template)
    kernel = entries["unet_block.model.1.model.1.weight"]
    np.testing.assert_array_equal(out["params"]["down_1"]["kernel"], kernel.transpose(2, 3, 1, 0))
    # All sets of running statistics are equal.
    means = out["batch_stats"]["down_norm_1"]["mean"]
    assert means.shape[0] == 2
    np.testing.assert_array_equal(means, [entries["unet_block.model.1.model.2.running_mean"]] * 2)


def test_entries_that_do_not_fit_are_listed(variables):
    entries = state_dict(UNET, variables["minus_net"])
    entries["stranger"] = entries.pop("bn0.bias")
    entries["unet_block.model.4.bias"] = np.zeros(9, np.float32)
    template = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), variables["minus_net"])
    with pytest.raises(ValueError) as refused:
        torch_weights.to_flax(entries, UNET, template)
    assert str(refused.value) == (
        "1 missing: bn0.bias; 1 unknown: stranger; "
        "1 of another shape: unet_block.model.4.bias (9,) for params/up_0/bias (4,)"
    )
    entries = state_dict(UNET, variables["minus_net"])
    entries["bn0.bias"] = np.full_like(entries["bn0.bias"], np.nan)
    entries["bn0.weight"] = np.full(entries["bn0.weight"].shape, 1e300)
    with pytest.raises(ValueError, match=r"^2 with numbers that are not finite in float32: bn0.bias, bn0.weight$"):
        torch_weights.to_flax(entries, UNET, template)
    with pytest.raises(ValueError, match=r"23 missing: bn0.bias, .* and 18 more"):
        torch_weights.to_flax({}, {name: place for name, place in UNET.items() if "." in name}, template)


def test_the_authors_files_are_converted_into_a_run(tmp_path, variables):
    frame, minus, plus = (
        state_dict(n, variables[v], i)
        for i, (n, v) in enumerate([(RESNET, "frame_net"), (UNET, "minus_net"), (UNET, "plus_net")])
    )
    files = {
        "frame": write_torch(tmp_path / "frame.pth", frame),
        "minus": write_torch(tmp_path / "sound_M.pth", minus, prefix="module."),
        "plus": write_torch(tmp_path / "sound_P.pth", plus),
    }
    config = with_plus()
    convert(config, tmp_path / "run", files)
    checkpoints = Checkpoints(tmp_path / "run")
    template = jax.eval_shape(lambda: method_of(config).initial_state().variables)
    assert [checkpoints.step(kind) for kind in ("latest", "best_mnet", "best_mpnet")] == [0, 0, 0]
    assert checkpoints.best_score("mpnet") == UNSCORED
    for kind in ("latest", "best_mnet", "best_mpnet"):
        restored = checkpoints.restore_variables(template, kind=kind)
        np.testing.assert_array_equal(restored["params"]["plus_net"]["up_0"]["bias"], plus["unet_block.model.4.bias"])
        np.testing.assert_array_equal(restored["params"]["minus_net"]["norm_in"]["scale"], minus["bn0.weight"])
        np.testing.assert_array_equal(restored["params"]["frame_net"]["conv_out"]["bias"], frame["fc.bias"])
    checkpoints.close()


def test_without_a_plus_net_there_is_no_checkpoint_of_mp_net(tmp_path, variables):
    path = write_torch(tmp_path / "sound_M.pth", state_dict(UNET, variables["minus_net"]))
    convert(with_plus(), tmp_path / "run", {"minus": path})
    checkpoints = Checkpoints(tmp_path / "run", read_only=True)
    assert [checkpoints.step(kind) for kind in ("latest", "best_mnet", "best_mpnet")] == [0, 0, None]
    checkpoints.close()


def test_torchvisions_trunk_is_converted_into_a_run_and_evaluated(tmp_path, tiny_set, variables):
    names = torch_weights.torchvision_names()
    assert names["layer2.0.downsample.1.running_var"] == ("batch_stats", "stage2_block1", "shortcut_norm", "var")
    assert {"conv1.weight", "bn1.weight", "layer4.1.conv2.weight"} <= names.keys()
    entries = state_dict(names, variables["frame_net"]) | {"fc.weight": np.zeros((1000, 32), np.float32)}
    safetensors.numpy.save_file(entries, tmp_path / "resnet.safetensors")
    config = tiny_config(tiny_set)
    convert(config, tmp_path / "run", {"resnet": tmp_path / "resnet.safetensors"})
    before = evaluate(config, tmp_path / "run", EvaluationOptions("test"))
    assert before["run"]["step"] == 0
    assert np.isfinite(before["methods"]["mnet"]["nsdr"]["mean"])


REFUSED = [
    ("a.pth", b"", "a.pth is not loaded: it is empty; give a file that torch.save wrote of a network's state_dict()"),
    ("a.pth", b"not a file of PyTorch's", "a.pth is not loaded: it is damaged or no PyTorch file"),
    ("a.pth", b"PK\x03\x04", "a.pth is not loaded: it is truncated"),
    ("list.pth", torch_files.zip_file(torch_files.listed(), {}), r"list.pth is not loaded: it holds no state dict"),
    ("a.safetensors", b"", "is no readable safetensors file"),
    ("a.safetensors", b"nor one of these", "is no readable safetensors file"),
    ("c.safetensors", safetensors.numpy.save({"x": np.zeros(2, np.complex64)}), r"holds complex numbers \(x\)"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), REFUSED)
def test_a_damaged_file_is_refused(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        torch_weights.read_weights(tmp_path / name)


def test_invalid_flags_are_refused(tmp_path):
    config = with_plus()
    missing = tmp_path / "no.pth"
    for files, sentence in (
        ({}, "nothing to convert; give at least one of --frame, --resnet, --minus, --plus, --sound, --synthesizer"),
        ({"frame": missing, "resnet": missing}, "are both of the frame network"),
        ({"minus": missing}, f"there is no file {missing}"),
    ):
        with pytest.raises(InputError, match=sentence):
            convert(config, tmp_path / "run", files)
    assert not (tmp_path / "run").exists()


def test_weights_of_another_network_are_refused_with_file_and_config(tmp_path, variables):
    entries = state_dict(UNET, variables["minus_net"])
    path = write_torch(tmp_path / "frame.pth", entries)
    with pytest.raises(InputError, match=r"--frame=.*frame.pth does not fit frame_net of config tiny: 102 missing"):
        convert(with_plus(), tmp_path / "run", {"frame": path})
    config = tiny_config(Path("data"))
    with pytest.raises(InputError, match=r"plus_net is none of this config's networks \(frame_net, minus_net\)"):
        convert(config, tmp_path / "run", {"plus": path})


@pytest.mark.slow
def test_a_run_of_the_second_round_alone_starts_from_another_run(tmp_path, tiny_set, monkeypatch):
    monkeypatch.setattr("mpnet_jax.models.frame_net.ResNet18", ShortFrameNet)
    first = tiny_config(tiny_set)
    first.rounds.minus = 2
    assert train(first, tmp_path / "first") == 0
    second = tiny_config(tiny_set)
    second.rounds.minus, second.rounds.plus = 0, 2
    second.start_from = str(tmp_path / "first")
    assert train(second, tmp_path / "second") == 0
    states = []
    for config, name in ((first, "first"), (second, "second")):
        checkpoints = Checkpoints(tmp_path / name, read_only=True)
        template = jax.eval_shape(lambda c=config: method_of(c).initial_state().variables)
        kind = "best_mnet" if name == "first" else "latest"
        states.append(checkpoints.restore_variables(template, kind=kind))
        checkpoints.close()
    for net in ("frame_net", "minus_net"):
        jax.tree.map(np.testing.assert_array_equal, states[0]["params"][net], states[1]["params"][net])
    second.start_from = str(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is no workdir of a run"):
        train(second, tmp_path / "third")
