"""Tests the reader of PyTorch files with files that are assembled by hand, many of them malicious or damaged."""

import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.command import InputError
from mpnet_jax.pretrained import torch_file
from mpnet_jax.pretrained.torch_file import read_state_dict
from tests.support.torch_files import (
    FALSE,
    NONE,
    call,
    legacy_file,
    listed,
    mapping,
    name,
    number,
    pickled,
    sequence,
    storage,
    tensor,
    text,
    zip_file,
)

VALUES = np.arange(12, dtype=np.float32)
STEPS = np.array([7], np.int64)
FORMATS = {"legacy": legacy_file, "zip": zip_file}


def small(kind, **changes):
    """Returns a state dict with a matrix, its transposed lower rows and a number of another type."""
    # The older format has one more entry, for views.
    extra = (NONE,) if kind == "legacy" else ()
    floats, longs = storage("0", 12, "FloatStorage", *extra), storage("1", 1, "LongStorage", *extra)
    entries = {
        "matrix": tensor(floats, 0, (3, 4), (4, 1)),
        "rows": tensor(floats, 4, (4, 2), (1, 4)),
        "steps": tensor(longs, 0, (), ()),
    }
    contents = mapping(entries | changes)
    # The versions of the modules, set as an attribute.
    contents += b"}(" + text("_metadata") + mapping({"": b"}" + text("version") + number(1) + b"s"}) + b"ub"
    return FORMATS[kind](contents, {"0": VALUES, "1": STEPS})


@pytest.fixture
def read(tmp_path):
    """Writes bytes to a file and reads the state dict."""

    def run(content):
        path = tmp_path / "weights.pth"
        path.write_bytes(content)
        return read_state_dict(path)

    return run


@pytest.fixture
def refused(read):
    """Returns the message of the refusal, which is one line and begins with the path."""

    def run(content):
        with pytest.raises(InputError) as error:
            read(content)
        message = str(error.value)
        assert "\n" not in message and "weights.pth is not loaded: " in message and len(message) < 500
        return message.partition("is not loaded: ")[2]

    return run


@pytest.mark.parametrize("kind", FORMATS)
def test_tensors_are_read(read, kind):
    state = read(small(kind))
    assert list(state) == ["matrix", "rows", "steps"]
    np.testing.assert_array_equal(state["matrix"], VALUES.reshape(3, 4))
    np.testing.assert_array_equal(state["rows"], VALUES.reshape(3, 4)[1:].T)
    assert state["matrix"].dtype == np.float32
    assert state["steps"].dtype == np.int64 and state["steps"] == 7
    assert not state["matrix"].flags.writeable


@pytest.mark.parametrize("kind", FORMATS)
def test_a_state_dict_inside_a_checkpoint_is_read(read, kind):
    extra = (NONE,) if kind == "legacy" else ()
    inner = mapping({"x": tensor(storage("0", 12, "HalfStorage", *extra), 0, (12,), (1,))})
    content = FORMATS[kind](mapping({"epoch": number(3), "state_dict": inner}), {"0": VALUES.astype(np.float16)})
    np.testing.assert_array_equal(read(content)["x"], VALUES)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_training_checkpoint_is_read_beside_its_optimiser(read, kind):
    extra = (NONE,) if kind == "legacy" else ()
    inner = mapping({"x": tensor(storage("0", 12, "FloatStorage", *extra), 0, (12,), (1,))})
    moments = b"}" + number(0) + mapping({"step": number(5)}) + b"s"  # by the numbers of the parameters
    content = FORMATS[kind](mapping({"optimizer": moments, "state_dict": inner}), {"0": VALUES})
    np.testing.assert_array_equal(read(content)["x"], VALUES)


def ways_to_write_a_tensor():
    """Returns the pickle operations of one tensor (12,) as different versions and calls of PyTorch write them."""
    stored = storage("0", 12, "FloatStorage", NONE)
    plain = tensor(stored, 0, (12,), (1,))
    parts = (stored, number(0), sequence(number(12)), sequence(number(1)))
    v2 = name("torch._utils", "_rebuild_tensor_v2")
    return {
        "requires gradients": call(name("torch._utils", "_rebuild_parameter"), plain, b"\x88", mapping({})),
        "has attributes": call(
            name("torch._utils", "_rebuild_parameter_with_state"), plain, b"\x88", mapping({}), mapping({"a": NONE})
        ),
        "is a buffer": call(
            name("torch._tensor", "_rebuild_from_type_v2"),
            v2,
            name("torch.nn.parameter", "Buffer"),
            sequence(*parts, FALSE, mapping({})),
            mapping({"persistent": NONE}),
        ),
        "before version 0.4": call(name("torch._utils", "_rebuild_tensor"), *parts),
    }


@pytest.mark.parametrize("way", ways_to_write_a_tensor())
def test_every_way_to_write_a_tensor_is_read(read, way):
    contents = mapping({"x": ways_to_write_a_tensor()[way]})
    np.testing.assert_array_equal(read(legacy_file(contents, {"0": VALUES}))["x"], VALUES)


def test_other_protocols_and_python_2_are_read(read):
    plain = tensor(storage("0", 12, "FloatStorage", NONE), 0, (12,), (1,))
    python_2 = call(name("collections", "OrderedDict"), listed(listed(b"U\x01x", plain)))
    np.testing.assert_array_equal(read(legacy_file(python_2, {"0": VALUES}))["x"], VALUES)
    # Protocol 4 takes a name from the stack and numbers the values that it refers to again.
    made = b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93\x94)R"
    protocol_4 = b"\x95" + bytes(8) + made + b"(\x8c\x01x\x94" + plain + b"h\x01" + plain + b"u"
    np.testing.assert_array_equal(read(legacy_file(protocol_4, {"0": VALUES}))["x"], VALUES)


@pytest.mark.parametrize(
    ("kind", "values"),
    [("BFloat16Storage", np.array([0x3FC0, 0xC000], np.uint16)), ("BoolStorage", np.array([True, False]))],
)
def test_half_precision_and_booleans_are_read(read, kind, values):
    contents = mapping({"x": tensor(storage("0", 2, kind), 0, (2,), (1,))})
    wanted = [1.5, -2.0] if kind == "BFloat16Storage" else [1.0, 0.0]
    np.testing.assert_array_equal(read(zip_file(contents, {"0": values}))["x"].astype(np.float32), wanted)


SAVED = {
    "plain": lambda torch, net: net.state_dict(),
    "with gradients": lambda torch, net: net.state_dict(keep_vars=True),
    "half": lambda torch, net: net.half().state_dict(),
    "bfloat16": lambda torch, net: net.bfloat16().state_dict(),
    "module": lambda torch, net: net,
    "sparse": lambda torch, net: {"x": torch.eye(2).to_sparse()},
    "meta": lambda torch, net: net.to("meta").state_dict(),
}
REFUSED = {"module": "torch.nn.modules.container.Sequential", "sparse": "a sparse tensor", "meta": "device 'meta'"}


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}])
@pytest.mark.parametrize("kind", SAVED)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_files_of_this_version_of_pytorch(tmp_path, kind, options):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    torch.save(SAVED[kind](torch, net), tmp_path / "weights.pth", **options)
    if kind in REFUSED:
        with pytest.raises(InputError, match=REFUSED[kind]) as refused:
            read_state_dict(tmp_path / "weights.pth")
        assert "weights_only" not in str(refused.value) and "\n" not in str(refused.value)
        return
    state = read_state_dict(tmp_path / "weights.pth")
    assert list(state) == list(net.state_dict())
    for entry, value in net.state_dict().items():
        np.testing.assert_array_equal(state[entry].astype(np.float32), value.float().numpy())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth cannot be read \(No such file"):
        read_state_dict(tmp_path / "none.pth")
    with pytest.raises(InputError, match="cannot be read"):
        read_state_dict(tmp_path)


def attacks(marker):
    command = text(f"touch {marker}")
    code = text(f"open({str(marker)!r}, 'w')")
    system = name("os", "system")
    return {
        "os.system": call(system, command),
        "posix.system": call(name("posix", "system"), command),
        "builtins.eval": call(name("builtins", "eval"), code),
        "builtins.exec": call(name("__builtin__", "exec"), code),
        "nested name": call(name("torch._utils", "_rebuild_tensor_v2.__globals__"), command),
        "attribute of an allowed name": call(name("collections", "OrderedDict.__init__"), command),
        "getattr": call(name("builtins", "getattr"), name("collections", "OrderedDict"), text("fromkeys")),
        "torch.load": call(name("torch", "load"), command),
        "numpy": call(name("numpy.core.multiarray", "_reconstruct"), command),
        "allowed name, other arguments": call(name("collections", "OrderedDict"), listed(sequence(command, command))),
        "call of a string": call(text("os.system"), command),
        "call of a storage type": call(name("torch", "FloatStorage"), number(10**12)),
        "rebuild with a dictionary": name("torch._utils", "_rebuild_tensor_v2") + mapping({}) + b"R",
        "INST": b"(" + command + b"ios\nsystem\n",
        "OBJ": b"(" + system + command + b"o",
        "OBJ of an allowed name": b"(" + name("collections", "OrderedDict") + command + b"o",
        "NEWOBJ": name("collections", "OrderedDict") + sequence() + b"\x81",
        "NEWOBJ_EX": name("collections", "OrderedDict") + sequence() + b"}\x92",
        "STACK_GLOBAL": text("os") + text("system") + b"\x93" + sequence(command) + b"R",
        "EXT1": b"\x82\x01",
        "PERSID": b"Psystem\n",
        "invalid escape in STRING": b"S'\\q'\n",
        "state of a dictionary": mapping({}) + b"}(" + text("__class__") + system + b"ub",
        "other state of a dictionary": mapping({}) + b"}(" + text("update") + text("x") + b"ub",
        "state of a name": name("torch", "FloatStorage") + b"}(" + text("_metadata") + text("x") + b"ub",
        "state of a tensor": tensor(storage("0", 12, "FloatStorage", NONE), 0, (1,), (1,)) + b"}b",
        "hooks in a tensor": call(name("torch._utils", "_rebuild_tensor_v2"), call(system, command)),
    }


@pytest.mark.parametrize("attack", attacks("x"))
@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_is_run(refused, audited, tmp_path, kind, attack):
    marker = tmp_path / "marker"
    payload = attacks(marker)[attack]
    for contents in (payload, mapping({"weight": payload})):
        with audited:
            sentence = refused(FORMATS[kind](contents, {}))
        assert sentence
    assert not marker.exists()


@pytest.mark.parametrize("attack", ["os.system", "builtins.eval"])
def test_nothing_is_run_in_the_other_pickles(refused, audited, tmp_path, attack):
    payload = pickled(attacks(tmp_path / "marker")[attack])
    good = [number(0x1950A86A20F9469CFC6C), number(1001), b"}(" + text("little_endian") + b"\x88u", mapping({})]
    for before in range(5):
        with audited:
            assert "which is no part of a state dict" in refused(b"".join(map(pickled, good[:before])) + payload)
    assert list(tmp_path.iterdir()) == [tmp_path / "weights.pth"]


class Audit:
    """Fails if code is compiled or run, a process is started or a pickle's name is looked up while it is active."""

    FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "exec", "compile", "pickle.find_class")

    def __init__(self):
        self.active, self.events = False, []
        # A hook stays until the process ends, so it does nothing outside of the block.
        sys.addaudithook(self._record)

    def _record(self, event, _):
        if self.active and event in self.FORBIDDEN:
            self.events.append(event)

    def __enter__(self):
        self.active = True

    def __exit__(self, *_):
        self.active = False
        assert self.events == []


@pytest.fixture(scope="module")
def audited():
    return Audit()


HUGE = 2**62


@pytest.mark.parametrize(
    ("stored", "offset", "shape", "strides"),
    [
        (12, 0, (13,), (1,)),
        (12, 1, (3, 4), (4, 1)),
        (12, 0, (3, 4), (5, 1)),
        (12, 12, (1,), (1,)),
        (12, HUGE, (1,), (1,)),
        (12, 0, (HUGE,), (0,)),
        (12, 0, (HUGE, 0), (1, 1)),
        (12, 0, (2,), (HUGE,)),
        (12, 0, (4, 4), (0, 1)),
        (12, 11, (4,), (-1,)),
        (12, -1, (1,), (1,)),
        (12, 0, (-1,), (1,)),
        (12, 0, (3, 4), (1,)),
        (12, 0, (1,) * 33, (1,) * 33),
        (0, 0, (0,), (1,)),
    ],
)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_tensor_beyond_its_storage_is_refused(refused, kind, stored, offset, shape, strides):
    extra = (NONE,) if kind == "legacy" else ()
    contents = mapping({"x": tensor(storage("0", stored, "FloatStorage", *extra), offset, shape, strides)})
    assert "tensor" in refused(FORMATS[kind](contents, {"0": VALUES[:stored]}))


@pytest.mark.parametrize("elements", [11, 13, HUGE, 2**200, -1])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_storage_of_another_size_is_refused(refused, kind, elements):
    extra = (NONE,) if kind == "legacy" else ()
    contents = mapping({"x": tensor(storage("0", elements, "FloatStorage", *extra), 0, (1,), (1,))})
    assert refused(FORMATS[kind](contents, {"0": VALUES}))


def test_a_large_size_in_front_of_a_storage_is_refused(refused):
    content = small("legacy")
    start = content.index((12).to_bytes(8, "little") + VALUES.tobytes())
    assert "another size" in refused(content[:start] + HUGE.to_bytes(8, "little") + content[start + 8 :])


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (text("a string"), "no state dict"),
        (name("torch\\o", "x"), r"'torch\\o.x', which is no part"),
        (mapping({}), "no state dict"),
        (sequence(text("storage")) + b"Q", "something else than a storage"),
        (storage("0", 12, "QInt8Storage"), "torch.QInt8Storage"),
        (storage("0", 12, "FloatStorage", NONE, NONE), "something else than a storage"),
        (tensor(storage("0", 1, "DoubleStorage", NONE), 0, (1,), (1,)), "two storages have the same name"),
        (tensor(text("0"), 0, (1,), (1,)), "a tensor is damaged"),
        (call(name("torch._utils", "_rebuild_tensor_v2"), FALSE), "calls something that no state dict needs"),
        (call(name("torch._utils", "_rebuild_parameter"), FALSE), "calls something that no state dict needs"),
        (call(name("collections", "OrderedDict"), listed(listed(text("x")))), "calls something that no state dict"),
        (name("torch._utils", "_rebuild_sparse_tensor"), "it holds a sparse tensor, which to_dense() makes"),
        (name("torch._utils", "_rebuild_meta_tensor_no_storage"), "a tensor on the device 'meta', which has no values"),
        (name("torch._utils", "_rebuild_qtensor"), "it holds a quantised tensor"),
        (name("torch._utils", "_rebuild_tensor_v3"), "a tensor of a type that is not read"),
        (name("torch", "ComplexFloatStorage"), "it holds a tensor of complex numbers"),
        (b"h\x09", "damaged"),  # a value that was never stored
        (b"a", "damaged"),
        (b"}(" + NONE + number(2) + b"u", "other keys than names and numbers"),
        (b"r\xff\xff\xff\xff" * 2 + b"a", "damaged"),
    ],
)
def test_other_contents_are_refused(refused, entry, sentence):
    assert sentence in refused(small("legacy", weight=entry))


def test_long_pickles_are_refused(refused, monkeypatch):
    monkeypatch.setattr(torch_file, "_MAX_OPERATIONS", 1000)
    assert "leaves values behind" in refused(pickled(b"}" * 998))
    assert "too long" in refused(pickled(b"}" * 1000))


def test_deeply_nested_values_are_refused(refused):
    assert refused(legacy_file(b")" + b"\x85" * 20_000, {}))
    assert refused(legacy_file(mapping({"x": b")" + b"\x85" * 20_000}), {}))


def test_many_references_to_one_value_need_no_memory(refused):
    # Each tuple refers to the one before twice: 2^5000 values, if they were visited.
    doubled = b")q\x00" + b"(h\x00h\x00tq\x00" * 5000
    assert refused(legacy_file(mapping({"x": doubled}), {}))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_truncated_file_is_refused(refused, kind):
    content = small(kind)
    for length in range(0, len(content), 7):
        assert refused(content[:length])


@pytest.mark.parametrize("kind", FORMATS)
def test_a_longer_file_is_refused(refused, kind):
    assert "unknown data follows" in refused(small(kind) + b"x")


def test_a_compressed_archive_is_refused(refused):
    # 100 MB of zeros in a small file.
    bomb = zip_file(mapping({}), {"0": np.zeros(25_000_000, np.float32)}, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 200_000
    assert "compressed" in refused(bomb)


def test_other_files_are_refused(refused):
    assert refused(b"").startswith("it is empty; give a file that torch.save wrote")
    assert "no PyTorch file" in refused(b"version https://git-lfs.github.com/spec/v1\n")
    assert "no PyTorch file" in refused(pickled(number(1)))
    assert "protocol" in refused(pickled(number(0x1950A86A20F9469CFC6C)) + pickled(number(1002)))


def check_damaged(audited, content):
    """Reads a damaged file: any outcome but an InputError or arrays by name is a failure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        path.write_bytes(content)
        with audited:
            try:
                state = read_state_dict(path)
            except InputError as error:
                assert "\n" not in str(error)
            else:
                assert all(isinstance(value, np.ndarray) and value.size <= 12 for value in state.values())


SMALL = {kind: small(kind) for kind in FORMATS}


@pytest.mark.parametrize("kind", FORMATS)
@given(
    st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 255), st.sampled_from(["set", "insert", "delete"])),
        min_size=1,
        max_size=4,
    )
)
def test_damaged_bytes_are_refused_or_read(audited, kind, changes):
    content = bytearray(SMALL[kind])
    for place, byte, change in changes:
        place %= len(content)
        if change == "set":
            content[place] = byte
        elif change == "insert":
            content.insert(place, byte)
        else:
            del content[place]
    check_damaged(audited, bytes(content))


@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_are_refused(audited, content, as_contents):
    check_damaged(audited, legacy_file(content, {}) if as_contents else content)
