"""Reading checkpoints: the files here are written as torch writes them, without torch.

The writer follows torch/serialization.py (``_save``, ``_legacy_save``): Python's own pickler with
persistent ids for storages and torch's names for the functions that rebuild tensors.
"""

import io
import json
import pickle
import struct
import sys
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgesam.errors import ExportError
from edgesam_export.checkpoint import Checkpoint, read_checkpoint
from edgesam_export.checkpoint.mapped_file import MappedFile

MAGIC = 0x1950A86A20F9469CFC6C
STORAGE_NAMES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
PLAIN_TYPES = [name for name in STORAGE_NAMES if name != "bfloat16"]


class Global:
    """A name in the pickle. Callable, as pickle demands of what it reduces with."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):
        raise AssertionError


class Reduced:
    """An object that is written as a call of ``function``."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@dataclass(eq=False)
class Storage:
    """A flat array and the type torch would call it; ``count`` lies when it is given."""

    data: np.ndarray
    dtype: str
    key: str = ""
    count: int | None = None
    view: tuple[str, int, int] | None = None


def bfloat16(values):
    """The upper halves of float32 values, as a storage."""
    bits = np.asarray(values, np.float32).view(np.uint32) >> 16
    return Storage(bits.astype(np.uint16).ravel(), "bfloat16")


def view(storage, offset, shape, strides):
    arguments = (storage, offset, tuple(shape), tuple(strides), False, OrderedDict())
    return Reduced(Global("torch._utils", "_rebuild_tensor_v2"), *arguments)


def tensor(array):
    array = np.asarray(array)
    strides = [s // array.itemsize for s in np.zeros(array.shape, array.dtype).strides]
    return view(Storage(array.ravel(), array.dtype.name), 0, array.shape, strides)


class TorchPickler(pickle._Pickler):
    """Python's pickler with torch's persistent ids. Storages get their keys in order of sight."""

    def __init__(self, file, protocol, legacy):
        super().__init__(file, protocol)
        self.legacy, self.storages = legacy, {}

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        key = obj.key or next(
            (key for key, other in self.storages.items() if other is obj), str(len(self.storages))
        )
        self.storages[key] = obj
        count = obj.data.size if obj.count is None else obj.count
        kind = Global("torch", STORAGE_NAMES[obj.dtype])
        saved = ("storage", kind, key, "cuda:0", count)
        return (*saved, obj.view) if self.legacy else saved

    def save(self, obj, save_persistent_id=True):
        if not isinstance(obj, Global):
            super().save(obj, save_persistent_id)
        elif self.proto >= 4:
            self.save(obj.module)
            self.save(obj.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(f"c{obj.module}\n{obj.name}\n".encode())


def zip_bytes(obj, *, protocol=2, byteorder="little", compression=zipfile.ZIP_STORED):
    stream, pickled = io.BytesIO(), io.BytesIO()
    pickler = TorchPickler(pickled, protocol, legacy=False)
    pickler.dump(obj)
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("ckpt/data.pkl", pickled.getvalue())
        archive.writestr("ckpt/.format_version", "1")
        if byteorder:
            archive.writestr("ckpt/byteorder", byteorder)
        for key, storage in pickler.storages.items():
            data = storage.data.byteswap() if byteorder == "big" else storage.data
            archive.writestr(f"ckpt/data/{key}", data.tobytes())
        archive.writestr("ckpt/version", "3\n")
    return stream.getvalue()


def legacy_bytes(obj, *, protocol=2):
    stream = io.BytesIO()
    for fact in (MAGIC, 1001, {"protocol_version": 1001, "little_endian": True}):
        pickle.dump(fact, stream, protocol)
    pickler = TorchPickler(stream, protocol, legacy=True)
    pickler.dump(obj)
    pickle.dump(sorted(pickler.storages), stream, protocol)
    for _, storage in sorted(pickler.storages.items()):
        stream.write(struct.pack("<q", storage.data.size) + storage.data.tobytes())
    return stream.getvalue()


def safetensors_bytes(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


WRITERS = {"zip": zip_bytes, "legacy": legacy_bytes}


@pytest.fixture(params=WRITERS)
def torch_format(request):
    return request.param


@pytest.fixture
def opened(tmp_path):
    """Write bytes to a file and open it; closed at the test's end."""
    checkpoints = []

    def open_(content):
        path = tmp_path / "weights.bin"
        path.write_bytes(content)
        checkpoints.append(read_checkpoint(path))
        return checkpoints[-1]

    yield open_
    for checkpoint in checkpoints:
        checkpoint.close()


@pytest.fixture
def refused(tmp_path):
    """Write bytes to a file and give the message of its refusal."""

    def refuse(content, name="weights.bin"):
        path = tmp_path / name
        path.write_bytes(content)
        return refusal(path)

    return refuse


def refusal(path):
    with pytest.raises(ExportError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path} ")
    return message.removeprefix(f"{path} ")


# --- what is read -----------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_plain_type_comes_back_bit_for_bit(opened, torch_format, protocol):
    arrays = {
        name: np.arange(-3, 9).reshape(3, 4).astype(name) for name in [*PLAIN_TYPES, "float32"]
    }
    arrays["float32"].flat[:3] = np.nan, np.inf, -0.0
    content = WRITERS[torch_format](
        OrderedDict((k, tensor(v)) for k, v in arrays.items()), protocol=protocol
    )
    checkpoint = opened(content)
    assert checkpoint.format == torch_format
    assert list(checkpoint) == list(arrays)
    for name, expected in arrays.items():
        assert checkpoint.dtypes[name] == name
        assert checkpoint.shapes[name] == (3, 4)
        found = checkpoint[name]
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes()


def test_bfloat16_becomes_exact_float32(opened, torch_format):
    bits = np.arange(1 << 16, dtype=np.uint32) << 16  # every bfloat16 there is, NaNs included
    storage = bfloat16(bits.view(np.float32))
    checkpoint = opened(WRITERS[torch_format]({"w": view(storage, 0, (256, 256), (1, 256))}))
    assert checkpoint.dtypes["w"] == "bfloat16"
    found = checkpoint["w"]
    assert found.dtype == np.float32
    assert np.array_equal(found.view(np.uint32), bits.reshape(256, 256).T)
    assert found.flags.c_contiguous


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1)])
@pytest.mark.parametrize("dtype", ["float32", "bool", "bfloat16"])
def test_scalars_and_empty_tensors(opened, torch_format, shape, dtype):
    values = np.ones(shape, np.float32)
    storage = (
        bfloat16(values) if dtype == "bfloat16" else Storage(values.ravel().astype(dtype), dtype)
    )
    strides = [s // 4 for s in values.strides]
    found = opened(WRITERS[torch_format]({"w": view(storage, 0, shape, strides)}))["w"]
    assert isinstance(found, np.ndarray)
    assert found.shape == shape
    assert found.all()


def test_bool_bytes_other_than_one_are_true(opened):
    storage = Storage(np.array([0, 1, 2, 255], np.uint8), "bool")
    found = opened(zip_bytes({"w": view(storage, 0, (4,), (1,))}))["w"]
    assert found.view(np.uint8).tolist() == [0, 1, 1, 1]


def test_tensors_share_a_storage(opened, torch_format):
    storage = Storage(np.arange(24, dtype=np.float32), "float32")
    checkpoint = opened(
        WRITERS[torch_format](
            {
                "all": view(storage, 0, (4, 6), (6, 1)),
                "transposed": view(storage, 0, (6, 4), (1, 6)),
                "column": view(storage, 2, (4,), (6,)),
                "repeated": view(storage, 23, (5,), (0,)),
            }
        )
    )
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert np.array_equal(checkpoint["all"], base)
    assert np.array_equal(checkpoint["transposed"], base.T)
    assert np.array_equal(checkpoint["column"], base[:, 2])
    assert checkpoint["repeated"].tolist() == [23.0] * 5
    assert all(array.flags.c_contiguous for array in checkpoint.values())


@st.composite
def windows(draw):
    """A storage length with an offset, shape and strides that stay inside it."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    strides = draw(st.tuples(*[st.integers(0, 9) for _ in shape]))
    offset = draw(st.integers(0, 7))
    span = 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    return offset + span + draw(st.integers(0, 3)), offset, shape, strides


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(window=windows(), dtype=st.sampled_from(["float32", "int16", "float64"]))
def test_any_window_is_what_numpy_sees_through_it(tmp_path, torch_format, window, dtype):
    length, offset, shape, strides = window
    data = np.arange(length).astype(dtype)
    path = tmp_path / "w"
    path.write_bytes(
        WRITERS[torch_format]({"w": view(Storage(data, dtype), offset, shape, strides)})
    )
    expected = np.lib.stride_tricks.as_strided(
        data[offset:], shape, [s * data.itemsize for s in strides]
    )
    with read_checkpoint(path) as checkpoint:
        found = checkpoint["w"]
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    length=st.integers(0, 12),
    offset=st.integers(-2, 14),
    shape=st.lists(st.integers(-1, 6), max_size=3),
    data=st.data(),
)
def test_a_window_is_read_or_refused_never_past_its_storage(tmp_path, length, offset, shape, data):
    strides = data.draw(st.lists(st.integers(-2, 6), min_size=len(shape), max_size=len(shape)))
    sane = min([offset, *shape, *strides]) >= 0
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    inside = sane and (0 in shape or last < length)
    guarded = Storage(np.arange(length, dtype=np.float32), "float32")
    neighbour = Storage(np.full(64, 1e9, np.float32), "float32")
    path = tmp_path / "w"
    path.write_bytes(
        legacy_bytes({"w": view(guarded, offset, shape, strides), "z": view(neighbour, 0, (), ())})
    )
    if inside:
        with read_checkpoint(path) as checkpoint:
            assert not (checkpoint["w"] > length).any()
    else:
        with pytest.raises(ExportError):
            read_checkpoint(path)


def test_big_endian_archives_are_swapped(opened):
    arrays = {"f": np.arange(5, dtype=np.float32), "i": np.arange(-2, 2, dtype=np.int64)}
    half = bfloat16([1.5, -2.0])
    checkpoint = opened(
        zip_bytes(
            {**{k: tensor(v) for k, v in arrays.items()}, "b": view(half, 0, (2,), (1,))},
            byteorder="big",
        )
    )
    for name, expected in arrays.items():
        assert np.array_equal(checkpoint[name], expected)
        assert checkpoint[name].dtype.isnative
    assert checkpoint["b"].tolist() == [1.5, -2.0]


def test_archives_older_than_the_byteorder_entry_are_little(opened):
    assert opened(zip_bytes({"w": tensor(np.float32([1, 2]))}, byteorder=""))["w"].tolist() == [
        1,
        2,
    ]


def test_unknown_byte_order_is_refused(refused):
    assert "byte order" in refused(zip_bytes({"w": tensor(np.zeros(2))}, byteorder="middle"))


def test_compressed_archives_are_read(opened):
    expected = np.tile(np.arange(100, dtype=np.float32), 20)
    content = zip_bytes({"w": tensor(expected)}, compression=zipfile.ZIP_DEFLATED)
    assert len(content) < expected.nbytes
    assert np.array_equal(opened(content)["w"], expected)


def test_parameters_and_tensors_with_attributes(opened, torch_format):
    values = np.float32([[1, 2], [3, 4]])
    rebuild = Global("torch._utils", "_rebuild_tensor_v2")
    inner = tensor(values)
    content = WRITERS[torch_format](
        {
            "parameter": Reduced(
                Global("torch._utils", "_rebuild_parameter"), inner, True, OrderedDict()
            ),
            "with_state": Reduced(
                Global("torch._utils", "_rebuild_parameter_with_state"),
                inner,
                True,
                OrderedDict(),
                {"no_decay": True},
            ),
            "with_attribute": Reduced(
                Global("torch._tensor", "_rebuild_from_type_v2"),
                rebuild,
                Global("torch", "Tensor"),
                inner.arguments,
                {"tag": 1},
            ),
        }
    )
    checkpoint = opened(content)
    assert len(checkpoint) == 3
    for name in checkpoint:
        assert np.array_equal(checkpoint[name], values)


def test_untyped_storages_of_newer_types(opened):
    """torch >= 2.3 writes uint16 and its like as bytes with a dtype beside them."""
    storage = Storage(np.array([1, 65535, 7], np.uint16).view(np.uint8), "uint8")
    dtype = Global("torch", "uint16")
    rebuild = Global("torch._utils", "_rebuild_tensor_v3")
    content = zip_bytes(
        {"w": Reduced(rebuild, storage, 1, (2,), (1,), False, OrderedDict(), dtype)}
    )
    found = opened(content)["w"]
    assert found.dtype == np.uint16
    assert found.tolist() == [65535, 7]


def test_a_negated_tensor_is_refused(refused):
    """torch negates lazily: without its bit the values would have the wrong sign."""
    lazy = tensor(np.float32([1, 2]))
    lazy.arguments += ({"neg": True},)
    assert "neg bit" in refused(zip_bytes({"w": lazy}))


def test_legacy_storage_views(opened):
    """torch < 0.4 wrote slices of storages: the root's key, then the view within it."""
    root = Storage(np.arange(10, dtype=np.float32), "float32", key="7")
    part = Storage(root.data, "float32", key="7", view=("8", 4, 3))
    content = legacy_bytes({"all": view(root, 0, (10,), (1,)), "part": view(part, 1, (2,), (1,))})
    assert opened(content)["part"].tolist() == [5.0, 6.0]


def test_a_legacy_storage_view_is_a_bound(refused):
    part = Storage(np.arange(10, dtype=np.float32), "float32", view=("8", 4, 3))
    assert "past" in refused(legacy_bytes({"part": view(part, 1, (3,), (1,))}))
    part.view = ("8", 9, 3)
    assert "leaves the storage" in refused(legacy_bytes({"part": view(part, 0, (1,), (1,))}))


def test_harmless_companions_are_ignored(opened, torch_format):
    extras = {
        "epoch": 12,
        "loss": 0.25,
        "huge": 1 << 100,
        "device": Reduced(Global("torch", "device"), "cuda", 0),
        "dtype": Global("torch", "float16"),
        "size": Reduced(Global("torch", "Size"), (1, 2)),
        "classes": {"liver", "spleen"},
        "none": None,
        "flags": [True, False, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "digest": b"\x00\xff",
        "bytes": {1: {2: "three"}},
    }
    checkpoint = opened(WRITERS[torch_format]({**extras, "model": {"w": tensor(np.zeros(2))}}))
    assert list(checkpoint) == ["w"]


def test_ordered_dict_state_is_dropped(opened):
    """nn.Module.state_dict() hangs ``_metadata`` on its OrderedDict."""
    state = OrderedDict(w=tensor(np.zeros(2)))
    state._metadata = OrderedDict({"": {"version": 1}})
    assert list(opened(zip_bytes(state))) == ["w"]


# --- wrappers and prefixes ----------------------------------------------------------------------

W = tensor(np.zeros(2, np.float32))
OTHER = tensor(np.ones(3, np.float32))


@pytest.mark.parametrize(
    "saved",
    [
        {"a": W, "b": W},
        {"model": {"a": W, "b": W}, "epoch": 3},
        {"state_dict": OrderedDict(a=W, b=W), "optimizer": {"state": {0: {"exp_avg": OTHER}}}},
        {"model_state_dict": {"a": W, "b": W}, "ema": {"x": OTHER}},
        {"state_dict": {"model": {"a": W, "b": W}}, "step": OTHER},
        {"model": {"arch": "vit_b"}, "state_dict": {"a": W, "b": W}},
        {"weights": {"a": W, "b": W}, "optimizer": {"state": {"exp_avg": OTHER}}, "best": 0.5},
        {"run": {"checkpoint": {"net": {"a": W, "b": W}}}},
        {"module.a": W, "module.b": W},
        {"model.sam.a": W, "model.sam.b": W},
        {"_orig_mod.module.net.a": W, "_orig_mod.module.net.b": W},
        {"a": W, "b": W, "note": "text", "epoch": 3},
    ],
)
def test_the_state_dict_is_found(opened, saved):
    checkpoint = opened(zip_bytes(saved))
    assert dict(checkpoint.shapes) == {"a": (2,), "b": (2,)}


@pytest.mark.parametrize(
    "names", [["module.a", "b"], ["module.a", "model.b"], ["module."], ["modulea", "moduleb"]]
)
def test_prefixes_stay_unless_every_key_has_them(opened, names):
    assert list(opened(zip_bytes(dict.fromkeys(names, W)))) == names


def test_the_wrapper_wins_by_its_name(opened):
    saved = {"model": {"m": W}, "state_dict": {"s": W}, "model_state_dict": {"ms": W}}
    assert list(opened(zip_bytes(saved))) == ["ms"]
    del saved["model_state_dict"]
    assert list(opened(zip_bytes(saved))) == ["s"]


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ({"epoch": 1, "best": {"iou": 0.5}}, "top-level keys are: epoch, best"),
        ({"optimizer": {"state": {"exp_avg": W}}}, "top-level keys are: optimizer"),
        (
            {"teacher": {"a": W}, "student": {"a": W}},
            "several groups of tensors (teacher, student)",
        ),
        ({}, "top-level keys are: none"),
        ([W, W], "holds a list"),
        ("text", "holds a str"),
        (W, "one tensor without a name"),
    ],
)
def test_no_state_dict_says_what_is_there(refused, saved, words):
    assert words in refused(zip_bytes(saved))


def test_circles_and_deep_nesting_end(refused, opened):
    circle = {"epoch": 1}
    circle["model"] = circle
    assert "top-level keys" in refused(zip_bytes(circle))
    circle["weights"] = {"a": W, "model": circle}
    refused(zip_bytes(circle))
    deep = {"a": W}
    for _ in range(40):
        deep = {"model": deep}
    assert "top-level keys are: model" in refused(zip_bytes(deep))


# --- laziness and life --------------------------------------------------------------------------


def test_tensors_are_read_one_at_a_time(tmp_path, torch_format):
    size, count = 1 << 20, 24
    path = tmp_path / "w"
    path.write_bytes(
        WRITERS[torch_format](
            {str(i): tensor(np.full(size // 4, i, np.float32)) for i in range(count)}
        )
    )
    tracemalloc.start()
    try:
        with read_checkpoint(path) as checkpoint:
            total = sum(float(array[0]) for array in checkpoint.values())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == sum(range(count))
    assert peak < 4 * size


def test_looking_does_not_read(opened, monkeypatch):
    checkpoint = opened(zip_bytes({"w": W}))
    monkeypatch.setattr(Checkpoint, "__getitem__", lambda *_: pytest.fail("read a tensor"))
    assert "w" in checkpoint
    assert "x" not in checkpoint
    assert len(checkpoint) == 1
    assert checkpoint.shapes == {"w": (2,)}
    assert "zip, 1 tensors" in repr(checkpoint)


def test_arrays_outlive_the_checkpoint(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(zip_bytes({"w": tensor(np.float32([1, 2]))}))
    with read_checkpoint(str(path)) as checkpoint:
        assert isinstance(checkpoint, Mapping)
        assert checkpoint.path == path
        found = checkpoint["w"]
        with pytest.raises(KeyError):
            checkpoint["x"]
    found += 1
    path.unlink()
    assert found.tolist() == [2, 3]
    checkpoint.close()
    with pytest.raises(ValueError, match="is closed"):
        checkpoint["w"]


def test_a_refused_file_is_released(refused, monkeypatch):
    released = []
    close = MappedFile.close

    def spy(file):
        close(file)
        released.append(file.closed)

    monkeypatch.setattr(MappedFile, "close", spy)
    refused(zip_bytes({"epoch": 1}))
    refused(b"neither this nor that")
    assert released == [True, True]


# --- safetensors --------------------------------------------------------------------------------


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_safetensors(opened):
    floats, bits = np.float32([[1, 2, 3], [4, 5, 6]]), np.array([0x3FC0, 0xC000], np.uint16)
    header = {
        "__metadata__": {"format": "pt"},
        "model.b": entry("BF16", [2], 24, 28),
        "model.f": entry("F32", [2, 3], 0, 24),
        "model.e": entry("I64", [0, 4], 28, 28),
        "model.s": entry("BOOL", [], 28, 29),
    }
    checkpoint = opened(safetensors_bytes(header, floats.tobytes() + bits.tobytes() + b"\1"))
    assert checkpoint.format == "safetensors"
    assert list(checkpoint) == ["b", "f", "e", "s"]
    assert dict(checkpoint.dtypes) == {"b": "bfloat16", "f": "float32", "e": "int64", "s": "bool"}
    assert np.array_equal(checkpoint["f"], floats)
    assert checkpoint["b"].tolist() == [1.5, -2.0]
    assert checkpoint["e"].shape == (0, 4)
    assert checkpoint["s"].shape == ()


@pytest.mark.parametrize("length", [0x180, 0x4B50])
def test_safetensors_whose_length_begins_as_another_format_does(opened, length):
    header = {"w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
    text = json.dumps(header).encode().ljust(length)
    checkpoint = opened(struct.pack("<Q", length) + text + b"\7")
    assert checkpoint.format == "safetensors"
    assert checkpoint["w"].tolist() == [7]


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        ({"a": entry("F32", [2], 0, 8)}, bytes(7), "cut short"),
        ({"a": entry("F32", [2], 0, 8)}, bytes(9), "bytes too many"),
        ({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12), "overlaps"),
        ({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 0, 8)}, bytes(8), "overlaps"),
        ({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 8, 12)}, bytes(12), "hole"),
        ({"a": entry("F32", [2], 8, 0)}, bytes(8), "impossible offsets"),
        ({"a": entry("F32", [2], -8, 0)}, bytes(8), "impossible offsets"),
        ({"a": entry("F32", [2], 0, 1 << 70)}, bytes(8), "impossible offsets"),
        ({"a": entry("F32", [-2], 0, 8)}, bytes(8), "impossible shape"),
        ({"a": entry("F32", [2.0], 0, 8)}, bytes(8), "impossible shape"),
        ({"a": entry("F32", [1] * 40, 0, 4)}, bytes(4), "impossible shape"),
        ({"a": entry("F32", [1 << 40, 1 << 40, 0], 0, 0)}, b"", "impossible shape"),
        ({"a": entry("F32", [3], 0, 8)}, bytes(8), "needs 12"),
        ({"a": entry("F8_E4M3", [8], 0, 8)}, bytes(8), "F8_E4M3"),
        ({"a": {"dtype": "F32", "shape": [2]}}, bytes(8), "incompletely"),
        ({"a": None}, bytes(8), "incompletely"),
        ({"__metadata__": {}}, b"", "top-level keys are: none"),
        (b'{"a": 1, "a": 2}', b"", "twice"),
        (b'{"a": ', b"", "not JSON"),
        (b'{"a": ' + b"[" * 100_000, b"", "not JSON"),
        (b'{"\xff": 1}', b"", "not JSON"),
    ],
)
def test_safetensors_that_lie_are_refused(refused, header, data, words):
    assert words in refused(safetensors_bytes(header, data))


def test_safetensors_header_longer_than_the_file(refused):
    assert "cut short" in refused(struct.pack("<Q", 1 << 20) + b"{}" + bytes(100))


# --- what is not a checkpoint -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes)"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "is a PNG picture"),
        (b"\n<!DOCTYPE html><html>", "is an HTML page, not a checkpoint: the download address"),
        (b"\xef\xbb\xbf<HTML>", "is an HTML page"),
        (b"<?xml version='1.0'?><Error>", "is an XML page"),
        (b'{"error": "not found"}', "is a JSON text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
        (b"\x1f\x8b\x08" + bytes(9), "is gzip-compressed"),
        (bytes(257) + b"ustar\x00" + bytes(300), "torch's oldest format"),
        (b"x", "begins with the bytes 78"),
        (bytes(4000), "begins with the bytes 00 00"),
        (pickle.dumps({"w": [1.0]}, 2), "is a Python pickle, but not one that torch.save wrote"),
        (pickle.dumps(MAGIC, 2) + pickle.dumps(7, 2), "legacy protocol 1001"),
        (pickle.dumps(MAGIC, 2), "is cut short"),
    ],
)
def test_other_files_are_named(refused, content, words):
    assert words in refused(content)


def test_missing_files_and_folders(tmp_path):
    assert refusal(tmp_path / "none.pth") == "does not exist"
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are files only on POSIX")
def test_a_pipe_does_not_block(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(tmp_path / "pipe")


def test_other_zips_are_named(refused):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("lite_medsam.pth", b"...")
    assert "it holds lite_medsam.pth" in refused(stream.getvalue())
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("net/data.pkl", b"...")
        archive.writestr("net/constants.pkl", b"...")
    assert "TorchScript" in refused(stream.getvalue())


def test_every_truncation_is_an_export_error(tmp_path, torch_format):
    content = WRITERS[torch_format]({"a": tensor(np.arange(3.0)), "b": tensor(np.arange(4.0))})
    for length in range(1, len(content)):
        (tmp_path / "w").write_bytes(content[:length])
        refusal(tmp_path / "w")
    (tmp_path / "w").write_bytes(content)
    read_checkpoint(tmp_path / "w").close()


SAMPLE = {
    "model": OrderedDict({"module.a": tensor(np.arange(6.0).reshape(2, 3)), "module.b": W}),
    "epoch": 3,
}
SAMPLES = {
    "zip": zip_bytes(SAMPLE),
    "zip protocol 4": zip_bytes(SAMPLE, protocol=4),
    "deflated": zip_bytes(SAMPLE, compression=zipfile.ZIP_DEFLATED),
    "legacy": legacy_bytes(SAMPLE),
    "legacy protocol 4": legacy_bytes(SAMPLE, protocol=4),
    "safetensors": safetensors_bytes(
        {"a": entry("F32", [2, 3], 0, 24), "b": entry("I16", [], 24, 26)}, bytes(26)
    ),
}


@pytest.mark.parametrize("sample", SAMPLES)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4))
@example(flips=[(0.0, 1)])
def test_flipped_bytes_raise_nothing_but_export_errors(tmp_path: Path, sample, flips):
    content = bytearray(SAMPLES[sample])
    for where, change in flips:
        content[int(where * (len(content) - 1))] ^= change
    path = tmp_path / "w"
    path.write_bytes(content)
    try:
        with read_checkpoint(path) as checkpoint:
            for name in checkpoint:
                assert checkpoint[name].shape == checkpoint.shapes[name]
    except ExportError:
        pass
