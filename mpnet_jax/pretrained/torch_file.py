"""Reads the tensors of a PyTorch file without PyTorch and without running anything that the file says.

A PyTorch file describes its tensors in the pickle language, which can call any function. Here an interpreter of its own
knows the few operations that a state dict needs, and the few names in `_NAMES`; it imports and calls nothing. A tensor
is a view of the file's bytes, so a small file cannot ask for much memory.

The two formats are the zip archive of PyTorch 1.6 and later, and the earlier one: five pickles (magic number, protocol,
system, contents, names of the storages), then each storage's number of elements and its bytes.
"""

import io
import math
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from data_pipeline.command import InputError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MAX_OPERATIONS = 1_000_000  # a state dict needs about fifty a tensor
_MAX_DIMENSIONS = 32
_ZIP_START, _ZIP_END, _ZIP_END_BYTES = b"PK\x03\x04", b"PK\x05\x06", 22
# What `zipfile` raises for damaged archives.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    OSError,
    EOFError,
    LookupError,
    RuntimeError,
    OverflowError,
)

_DTYPES = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch BFloat16Storage": np.dtype(jnp.bfloat16),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
    "torch ShortStorage": np.dtype("<i2"),
    "torch CharStorage": np.dtype("<i1"),
    "torch ByteStorage": np.dtype("<u1"),
    "torch BoolStorage": np.dtype("?"),
}
_DICT = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_OLD_TENSOR = "torch._utils _rebuild_tensor"  # before PyTorch 0.4
# Tensors that require gradients, as in `state_dict(keep_vars=True)`.
_PARAMETER = "torch._utils _rebuild_parameter"
_PARAMETER_WITH_STATE = "torch._utils _rebuild_parameter_with_state"
# Tensors with attributes or of a subclass, which are read as plain tensors.
_TYPED_TENSOR = "torch._tensor _rebuild_from_type_v2"
_TYPES = {"torch Tensor", "torch.nn.parameter Parameter", "torch.nn.parameter Buffer", "torch.nn.buffer Buffer"}
_NAMES = {_DICT, _TENSOR, _OLD_TENSOR, _PARAMETER, _PARAMETER_WITH_STATE, _TYPED_TENSOR, *_TYPES, *_DTYPES}
# Tensors that are recognised but not read.
_UNREADABLE = {
    "torch._utils _rebuild_sparse_tensor": "a sparse tensor, which to_dense() makes an ordinary one",
    "torch._utils _rebuild_meta_tensor_no_storage": "a tensor on the device 'meta', which has no values",
    "torch._utils _rebuild_qtensor": "a quantised tensor, which dequantize() makes an ordinary one",
    "torch._utils _rebuild_tensor_v3": "a tensor of a type that is not read, which float() makes an ordinary one",
    "torch ComplexFloatStorage": "a tensor of complex numbers",
    "torch ComplexDoubleStorage": "a tensor of complex numbers",
}

# The operations of the pickle language by their codes.
_OPERATION_OF = {operation.code: operation for operation in pickletools.opcodes}


class _RefusedError(Exception):
    """The contents of a file are damaged or not allowed; the message is a clause for the user."""


class _Name(NamedTuple):
    """A name that the file refers to, which is never imported."""

    name: str


class _Storage(NamedTuple):
    """A storage that the file refers to."""

    key: str
    dtype: np.dtype
    elements: int


class _Tensor(NamedTuple):
    """A tensor that the file describes: a part of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a state dict.

    Args:
        path: A file that `torch.save` wrote, in either format.

    Returns:
        Read-only arrays by name, in the types of the file.

    Raises:
        InputError: The file is missing or damaged, or holds something that is not read, such as a whole network.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    try:
        if not data:
            raise _RefusedError("it is empty")
        contents, storages = _read_zip(data) if data.startswith(_ZIP_START) else _read_legacy(data)
        if isinstance(contents, Mapping) and isinstance(contents.get("state_dict"), Mapping):
            contents = contents["state_dict"]
        if not isinstance(contents, Mapping) or not all(
            isinstance(name, str) and isinstance(value, _Tensor) for name, value in contents.items()
        ):
            raise _RefusedError("it holds no state dict (tensors by name)")
        return {name: _array(tensor, storages) for name, tensor in contents.items()}
    except _RefusedError as error:
        raise InputError(
            f"{path} is not loaded: {error}; give a file that torch.save wrote of a network's state_dict()"
        ) from None


def _read_legacy(data: bytes) -> tuple[Any, Mapping[str, np.ndarray]]:
    file = io.BytesIO(data)
    if _Interpreter(file).run() != _MAGIC:
        raise _RefusedError("it is no PyTorch file")
    if _Interpreter(file).run() != _PROTOCOL:
        raise _RefusedError("its protocol is unknown")
    system = _Interpreter(file).run()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise _RefusedError("its numbers are not little-endian")
    interpreter = _Interpreter(file)
    contents = interpreter.run()
    keys = _Interpreter(file).run()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _RefusedError("its list of storages is damaged")
    if len(set(keys)) != len(keys) or set(keys) != interpreter.storages.keys():
        raise _RefusedError("its list of storages does not match its tensors")
    position, storages = file.tell(), {}
    for key in keys:
        storage = interpreter.storages[key]
        start = position + 8
        position = start + storage.elements * storage.dtype.itemsize
        if position > len(data):
            raise _RefusedError("it is truncated")
        if int.from_bytes(data[start - 8 : start], "little") != storage.elements:
            raise _RefusedError("a storage has another size than its tensors say")
        storages[key] = np.frombuffer(data, storage.dtype, storage.elements, start)
    if position != len(data):
        raise _RefusedError("unknown data follows its last storage")
    return contents, storages


def _read_zip(data: bytes) -> tuple[Any, Mapping[str, np.ndarray]]:
    # Without a comment, the archive's last record ends the file.
    if not data[-_ZIP_END_BYTES:].startswith(_ZIP_END):
        raise _RefusedError("it is truncated, or unknown data follows the archive")
    members = _zip_members(data)
    folders = {name.split("/")[0] for name in members}
    if len(folders) != 1:
        raise _RefusedError("its archive has no single folder")
    folder = folders.pop()
    if members.get(f"{folder}/byteorder", b"little") != b"little":
        raise _RefusedError("its numbers are not little-endian")
    if f"{folder}/data.pkl" not in members:
        raise _RefusedError("it is no PyTorch file")
    file = io.BytesIO(members[f"{folder}/data.pkl"])
    interpreter = _Interpreter(file)
    contents = interpreter.run()
    if file.read(1):
        raise _RefusedError("unknown data follows its contents")
    storages = {}
    for key, storage in interpreter.storages.items():
        content = members.get(f"{folder}/data/{key}")
        if content is None or len(content) != storage.elements * storage.dtype.itemsize:
            raise _RefusedError("a storage is missing or has another size than its tensors say")
        storages[key] = np.frombuffer(content, storage.dtype)
    return contents, storages


def _zip_members(data: bytes) -> dict[str, bytes]:
    """Returns the contents of an archive; none of them may be compressed, so they are not larger than the archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
                raise _RefusedError("its archive is compressed or encrypted, as no state dict's is")
            if sum(entry.file_size for entry in entries) > len(data):
                raise _RefusedError("its archive is damaged")
            return {entry.filename: archive.read(entry) for entry in entries}
    except _ZIP_ERRORS:
        raise _RefusedError("its archive is damaged") from None


def _array(tensor: _Tensor, storages: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns a tensor as a view of its storage, after a check that all of it lies inside."""
    storage, offset, shape, strides = tensor
    values = storages[storage.key]
    # Dimensions without elements count as one, so that no product of sizes is large.
    elements = math.prod(max(size, 1) for size in shape)
    last = offset + sum((max(size, 1) - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if elements > len(values) or last >= len(values):
        raise _RefusedError("a tensor reaches beyond its storage")
    steps = [stride * values.itemsize if size > 1 else 0 for size, stride in zip(shape, strides, strict=True)]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False)


class _Interpreter:
    """Runs one pickle; any operation or name that a state dict does not need is refused.

    Attributes:
        storages: The storages that the pickle refers to, by key.
    """

    def __init__(self, file: io.BytesIO) -> None:
        self._file = file
        self._stack: list[Any] = []
        self._marks: list[int] = []  # heights of the stack
        self._memo: dict[int, Any] = {}
        self.storages: dict[str, _Storage] = {}

    def run(self) -> Any:
        """Returns the value that the pickle describes and leaves the file behind its end."""
        try:
            for _ in range(_MAX_OPERATIONS):
                # An operation that is not allowed is refused before its argument is decoded.
                operation = _OPERATION_OF.get(self._file.read(1).decode("latin-1"))
                if operation is None:
                    raise _RefusedError("it is damaged or no PyTorch file")
                if operation.name == "STOP":
                    break
                if operation.name not in _OPERATIONS:
                    raise _RefusedError(f"it uses the pickle operation {operation.name}, which no state dict needs")
                if operation.name == "GLOBAL":
                    argument = self._module_and_attribute()
                else:
                    argument = operation.arg.reader(self._file) if operation.arg else None
                _OPERATIONS[operation.name](self, argument)
            else:
                raise _RefusedError("it is too long")
        except ValueError:
            raise _RefusedError("it is damaged or no PyTorch file") from None
        value = self._pop()
        if self._stack or self._marks:
            raise _RefusedError("its pickle leaves values behind")
        return value

    def _module_and_attribute(self) -> str:
        # The reader of `pickletools` would resolve escape sequences, which `pickle` does not, and warn of unknown ones.
        return " ".join(self._file.readline().removesuffix(b"\n").decode("ascii") for _ in range(2))

    def _pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise _RefusedError("its pickle is damaged")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        if not self._marks:
            raise _RefusedError("its pickle is damaged")
        height = self._marks.pop()
        values = self._stack[height:]
        del self._stack[height:]
        return values

    def _pop_many(self, count: int) -> list[Any]:
        return [self._pop() for _ in range(count)][::-1]

    def mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def put(self, place: int) -> None:
        value = self._pop()
        self._memo[place] = value
        self.push(value)

    def get(self, place: int) -> None:
        if place not in self._memo:
            raise _RefusedError("its pickle is damaged")
        self.push(self._memo[place])

    def memoize(self, _: Any) -> None:
        self.put(len(self._memo))

    def tuple_to_mark(self, _: Any) -> None:
        self.push(tuple(self._pop_to_mark()))

    def tuple_of(self, count: int) -> None:
        self.push(tuple(self._pop_many(count)))

    def name(self, name: str) -> None:
        if name in _UNREADABLE:
            raise _RefusedError(f"it holds {_UNREADABLE[name]}")
        if name not in _NAMES:
            raise _RefusedError(f"it refers to {name[:80].replace(' ', '.', 1)!r}, which is no part of a state dict")
        self.push(_Name(name))

    def name_from_stack(self, _: Any) -> None:
        module, attribute = self._pop_many(2)
        self.name(f"{module} {attribute}")

    def append(self, values: list[Any]) -> None:
        target = self._pop()
        if not isinstance(target, list):
            raise _RefusedError("its pickle is damaged")
        target.extend(values)
        self.push(target)

    def set_items(self, values: list[Any]) -> None:
        target, keys = self._pop(), values[::2]
        # Keys of other types could be expensive to hash. The state of an optimiser has numbers as keys.
        if not isinstance(target, dict) or len(values) % 2 or not all(isinstance(key, str | int) for key in keys):
            raise _RefusedError("it holds a dictionary with other keys than names and numbers")
        target.update(zip(keys, values[1::2], strict=True))
        self.push(target)

    def append_one(self, _: Any) -> None:
        self.append(self._pop_many(1))

    def append_to_mark(self, _: Any) -> None:
        self.append(self._pop_to_mark())

    def set_one(self, _: Any) -> None:
        self.set_items(self._pop_many(2))

    def set_to_mark(self, _: Any) -> None:
        self.set_items(self._pop_to_mark())

    def call(self, _: Any) -> None:
        """Builds a dictionary or describes a tensor, in place of the calls that the pickle asks for."""
        match self._pop_many(2):
            case _Name(name), () if name == _DICT:
                self.push({})
            # Python 2 wrote an ordered dictionary as a list of pairs.
            case _Name(name), ([*items],) if name == _DICT:
                self.push({})
                self.set_items([value for item in items for value in _pair(item)])
            case _Name(name), tuple(arguments) if name == _TENSOR and len(arguments) == 6:
                self.push(_tensor(*arguments[:4]))
            case _Name(name), tuple(arguments) if name == _OLD_TENSOR and len(arguments) == 4:
                self.push(_tensor(*arguments))
            case _Name(name), (_Tensor() as data, *_) if name in (_PARAMETER, _PARAMETER_WITH_STATE):
                self.push(data)
            case _Name(name), (_Name(function), _, tuple(arguments), _) if (
                name == _TYPED_TENSOR and function == _TENSOR and len(arguments) == 6
            ):
                self.push(_tensor(*arguments[:4]))
            case _:
                raise _RefusedError("it calls something that no state dict needs")

    def build(self, _: Any) -> None:
        """Ignores the versions of the modules, which PyTorch sets as an attribute of a state dict."""
        target, state = self._pop_many(2)
        if not isinstance(target, dict) or not isinstance(state, dict) or set(state) != {"_metadata"}:
            raise _RefusedError("it sets attributes that no state dict has")
        self.push(target)

    def storage(self, _: Any) -> None:
        """Describes a storage: ("storage", type, key, device, elements), and None in the older format."""
        match self._pop():
            case ("storage", _Name(name), str(key), str(), int(elements)) if name in _DTYPES and elements >= 0:
                pass
            case ("storage", _Name(name), str(key), str(), int(elements), None) if name in _DTYPES and elements >= 0:
                pass
            case _:
                raise _RefusedError("it refers to something else than a storage of numbers")
        storage = _Storage(key, _DTYPES[name], elements)
        if self.storages.setdefault(key, storage) != storage:
            raise _RefusedError("two storages have the same name")
        self.push(storage)


def _pair(item: Any) -> list[Any]:
    if not isinstance(item, list) or len(item) != 2:
        raise _RefusedError("it calls something that no state dict needs")
    return item


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> _Tensor:
    if (
        not isinstance(storage, _Storage)
        or not _are_sizes((offset,))
        or not _are_sizes(shape)
        or not _are_sizes(strides)
        or len(shape) != len(strides)
        or len(shape) > _MAX_DIMENSIONS
    ):
        raise _RefusedError("a tensor is damaged")
    return _Tensor(storage, offset, shape, strides)


def _are_sizes(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(value) is int and value >= 0 for value in values)


_OPERATIONS: dict[str, Callable[[_Interpreter, Any], None]] = {
    "PROTO": lambda _, __: None,
    "FRAME": lambda _, __: None,
    "MARK": _Interpreter.mark,
    "NONE": lambda interpreter, _: interpreter.push(None),
    "NEWTRUE": lambda interpreter, _: interpreter.push(True),
    "NEWFALSE": lambda interpreter, _: interpreter.push(False),
    "BININT": _Interpreter.push,
    "BININT1": _Interpreter.push,
    "BININT2": _Interpreter.push,
    "LONG1": _Interpreter.push,
    "BINFLOAT": _Interpreter.push,
    "BINUNICODE": _Interpreter.push,
    "SHORT_BINUNICODE": _Interpreter.push,
    "BINSTRING": _Interpreter.push,
    "SHORT_BINSTRING": _Interpreter.push,
    "EMPTY_TUPLE": lambda interpreter, _: interpreter.push(()),
    "TUPLE": _Interpreter.tuple_to_mark,
    "TUPLE1": lambda interpreter, _: interpreter.tuple_of(1),
    "TUPLE2": lambda interpreter, _: interpreter.tuple_of(2),
    "TUPLE3": lambda interpreter, _: interpreter.tuple_of(3),
    "EMPTY_LIST": lambda interpreter, _: interpreter.push([]),
    "APPEND": _Interpreter.append_one,
    "APPENDS": _Interpreter.append_to_mark,
    "EMPTY_DICT": lambda interpreter, _: interpreter.push({}),
    "SETITEM": _Interpreter.set_one,
    "SETITEMS": _Interpreter.set_to_mark,
    "BINPUT": _Interpreter.put,
    "LONG_BINPUT": _Interpreter.put,
    "BINGET": _Interpreter.get,
    "LONG_BINGET": _Interpreter.get,
    "MEMOIZE": _Interpreter.memoize,
    "GLOBAL": _Interpreter.name,
    "STACK_GLOBAL": _Interpreter.name_from_stack,
    "REDUCE": _Interpreter.call,
    "BUILD": _Interpreter.build,
    "BINPERSID": _Interpreter.storage,
}
