"""Hostile checkpoints: each is refused with one line that names it, and nothing in it runs.

Written opcode by opcode, since no pickler would write them. A payload that ran would create the
canary file in the current folder.
"""

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from edgesam.errors import ExportError
from edgesam_export.checkpoint import read_checkpoint

CANARY = "canary"
COMMAND = f"echo > {CANARY}"
MAGIC = 0x1950A86A20F9469CFC6C


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    return pickle.dumps(value, 2)[2:-1]


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def stack_name(module, attribute):
    return text(module) + text(attribute) + b"\x93"


def call(function, *arguments):
    return function + b"(" + b"".join(arguments) + b"tR"


def storage(key="0", count=4, kind="FloatStorage"):
    return (
        b"("
        + text("storage")
        + name("torch", kind)
        + text(key)
        + text("cpu")
        + number(count)
        + b"tQ"
    )


def sizes(*values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(offset=b"K\x00", shape=None, strides=None, source=None):
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    hooks = call(name("collections", "OrderedDict"))
    return call(
        rebuild, source or storage(), offset, shape or sizes(4), strides or sizes(1), b"\x89", hooks
    )


def program(body, protocol=2):
    return b"\x80" + bytes([protocol]) + body + b"."


def state(*extra):
    """A program that saves {"w": tensor, "x": extra...}: honest but for the extras."""
    items = b"".join(text(f"x{i}") + body for i, body in enumerate(extra))
    return program(b"}(" + text("w") + tensor() + items + b"u")


def zipped(pickled, entries=None):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        for key, data in (entries or {"a/data/0": bytes(16)}).items():
            archive.writestr(key, data)
    return stream.getvalue()


FOUR_ZEROS = struct.pack("<q", 4) + bytes(16)


def legacy(pickled, keys=("0",), tail=FOUR_ZEROS):
    head = b"".join(pickle.dumps(fact, 2) for fact in (MAGIC, 1001, {}))
    return head + pickled + pickle.dumps(keys if isinstance(keys, dict) else list(keys), 2) + tail


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """The message of a refusal; fails if anything ran."""
    monkeypatch.chdir(tmp_path)

    def refuse(content):
        Path("weights.pth").write_bytes(content)
        with pytest.raises(ExportError) as caught:
            read_checkpoint("weights.pth")
        assert not Path(CANARY).exists()
        message = str(caught.value)
        assert "\n" not in message
        assert len(message) < 400
        return message

    return refuse


def test_the_canary_would_sing(tmp_path, monkeypatch):
    """The payloads are live: Python's own unpickler runs them."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(program(call(name("os", "system"), text(COMMAND))))
    assert Path(CANARY).exists()


def test_the_honest_program_is_read(tmp_path):
    for content in (zipped(state()), legacy(state())):
        (tmp_path / "w").write_bytes(content)
        with read_checkpoint(tmp_path / "w") as checkpoint:
            assert checkpoint["w"].tolist() == [0.0] * 4


FORBIDDEN = [
    ("posix", "system", text(COMMAND)),
    ("nt", "system", text(COMMAND)),
    ("os", "system", text(COMMAND)),
    ("builtins", "eval", text(f"open({CANARY!r}, 'w')")),
    ("builtins", "exec", text(f"open({CANARY!r}, 'w')")),
    ("__builtin__", "eval", text(f"open({CANARY!r}, 'w')")),
    ("builtins", "getattr", text(CANARY)),
    ("builtins", "open", text(CANARY) + text("w")),
    ("pathlib", "Path.touch", text(CANARY)),
    ("subprocess", "Popen", text(COMMAND)),
    ("torch", "load", text("other.pth")),
    ("torch.storage", "_load_from_bytes", text(CANARY)),
    ("torch.hub", "load", text(CANARY)),
    ("torch._utils", "_rebuild_tensor_v2.__globals__", b""),
    ("numpy.core.multiarray", "_reconstruct", b"K\x00"),
    ("numpy", "load", text(CANARY)),
    ("copyreg", "_reconstructor", b""),
    ("functools", "partial", b""),
    ("edgesam_export.checkpoint", "read_checkpoint", text("weights.pth")),
    ("__main__", "Model", b""),
    ("__main__", "Modèle", b""),
    ("back\\slash", "\\.", b""),
]


@pytest.mark.parametrize("forbidden", FORBIDDEN, ids=lambda f: f"{f[0]}.{f[1]}")
@pytest.mark.parametrize("spelling", [name, stack_name])
@pytest.mark.parametrize("wrap", [zipped, legacy])
def test_forbidden_globals_are_named(refused, forbidden, spelling, wrap):
    module, attribute, argument = forbidden
    message = refused(wrap(state(call(spelling(module, attribute), argument))))
    assert f"names the global {module}.{attribute}: refused, nothing was executed" in message


def test_a_forbidden_global_anywhere(refused):
    payload = call(name("posix", "system"), text(COMMAND))
    ordered = call(name("collections", "OrderedDict"))
    places = [
        ordered + b"}" + text("_metadata") + payload + b"sb",  # an OrderedDict's state
        b"]" + payload + b"a",
        b"}" + text("deep") + b"](" + payload + b"e" + b"s",
        tensor(source=payload),
        b"(" + text("storage") + payload + text("0") + text("cpu") + b"K\x04tQ",
        payload + b"0N",  # popped again
        name("posix", "system") + b"0N",  # not even called
        name("posix", "system") + b"(" + text(COMMAND) + b"t\x81",  # NEWOBJ
    ]
    for body in places:
        assert "posix.system" in refused(zipped(state(body)))


def test_a_forbidden_global_before_the_magic_number(refused):
    assert "posix.system" in refused(program(call(name("posix", "system"), text(COMMAND))))


def test_a_forbidden_global_among_the_legacy_keys(refused):
    keys = program(b"](" + call(name("posix", "system"), text(COMMAND)) + b"e")
    head = b"".join(pickle.dumps(fact, 2) for fact in (MAGIC, 1001, {}))
    assert "posix.system" in refused(head + state() + keys)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"(S'echo'\nios\nsystem\n", "opcode STRING"),
        (b"(" + text(COMMAND) + b"ios\nsystem\n", "opcode INST"),
        (b"(" + name("torch", "device") + text(COMMAND) + b"o", "opcode OBJ"),
        (b"\x82\x01", "opcode EXT1"),
        (b"P0\n", "opcode PERSID"),
        (name("torch", "Size") + b")}\x92", "opcode NEWOBJ_EX"),
        (b"\xff", "opcode 0xff"),
        (b"\x97", "opcode NEXT_BUFFER"),
    ],
)
def test_other_opcodes_are_named(refused, body, words):
    assert words in refused(zipped(state(body)))


@pytest.mark.parametrize(
    "body",
    [
        call(text("print"), text("x")),
        call(tensor(), text("x")),
        call(name("torch", "FloatStorage"), text("x")),
        call(name("torch", "float32")),
        name("torch", "device") + b"NR",
    ],
)
def test_calls_of_what_is_no_function(refused, body):
    assert "as a function: refused, nothing was executed" in refused(zipped(state(body)))


@pytest.mark.parametrize(
    "body",
    [
        name("torch._utils", "_rebuild_tensor_v2") + b"}" + text("build") + b"Nsb",
        name("torch", "FloatStorage") + b"}" + text("dtype") + b"Nsb",
        b"]}b",
    ],
)
def test_attributes_are_never_set(refused, body, tmp_path):
    assert "sets attributes" in refused(zipped(state(body)))
    (tmp_path / "w").write_bytes(zipped(state()))
    read_checkpoint(tmp_path / "w").close()


@pytest.mark.parametrize(
    "body",
    [
        call(name("torch._utils", "_rebuild_tensor_v2")),
        call(name("torch._utils", "_rebuild_tensor_v2"), text("storage"), *[b"K\x00"] * 5),
        call(name("torch._utils", "_rebuild_parameter"), b"N"),
        call(name("torch._utils", "_rebuild_tensor_v3"), storage()),
        call(name("collections", "OrderedDict"), b"K\x01"),
        call(name("collections", "OrderedDict"), b"](" + sizes(1, 2) + b"e"),
        call(name("torch", "Size"), b"K\x01"),
        call(name("torch._tensor", "_rebuild_from_type_v2"), text("f"), b"N", b")", b"N"),
    ],
)
def test_calls_with_foreign_arguments(refused, body):
    assert "with arguments it does not take" in refused(zipped(state(body)))


@pytest.mark.parametrize(
    "body",
    [
        b"NQ",
        b"]Q",
        text("storage") + b"Q",
        sizes(1, 2, 3) + b"Q",
        b"(" + text("module") + name("torch", "FloatStorage") + b"NNtQ",
        b"(" + text("storage") + text("FloatStorage") + text("0") + text("cpu") + b"K\x04tQ",
        b"("
        + text("storage")
        + name("torch", "FloatStorage")
        + b"K\x00"
        + text("cpu")
        + b"K\x04tQ",
        storage(count=-4),
        storage(count=1 << 90),
    ],
)
def test_persistent_ids_of_another_form(refused, body):
    message = refused(zipped(state(body)))
    assert "persistent id" in message or "impossible length" in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"shape": sizes(5)}, "past the 16 bytes"),
        ({"offset": b"K\x01"}, "past the 16 bytes"),
        ({"strides": sizes(2)}, "past the 16 bytes"),
        ({"offset": number(-1)}, "not sane counts"),
        ({"shape": sizes(-4)}, "not sane counts"),
        ({"strides": sizes(-1), "offset": b"K\x03"}, "not sane counts"),
        ({"shape": sizes(1 << 62)}, "not sane counts"),
        ({"shape": sizes(1 << 40000)}, "not sane counts"),
        ({"offset": text("0")}, "not sane counts"),
        ({"shape": text("4")}, "not sane counts"),
        ({"shape": b"(\x88t"}, "not sane counts"),
        ({"shape": sizes(2, 2)}, "2 dimensions and 1 strides"),
        ({"shape": sizes(*[1] * 40), "strides": sizes(*[1] * 40)}, "40 dimensions"),
        ({"shape": sizes(1 << 47, 1 << 47), "strides": sizes(0, 0)}, "impossible shape"),
        ({"shape": sizes(0, 1 << 47, 1 << 47), "strides": sizes(1, 1, 1)}, "impossible shape"),
        ({"shape": sizes(1 << 32), "strides": sizes(0)}, "repeats 16 bytes"),
        ({"source": storage(count=5)}, "has 16 bytes for storage '0' where its pickle says 20"),
        ({"source": storage(kind="DoubleStorage")}, "where its pickle says 32"),
        ({"source": storage(key="1")}, "lacks the entry a/data/1"),
        ({"source": storage(key="../data.pkl")}, "lacks the entry a/data/../data.pkl"),
        ({"source": storage(kind="ComplexFloatStorage")}, "complex tensors"),
        ({"source": storage(kind="QInt8Storage")}, "quantised tensors"),
        ({"source": storage(kind="QUInt4x2Storage")}, "quantised tensors"),
        ({"source": storage(kind="WeirdStorage")}, "torch.WeirdStorage"),
    ],
)
def test_tensors_that_leave_their_storage(refused, arguments, words):
    assert words in refused(zipped(state(tensor(**arguments))))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("_rebuild_qtensor", "quantised tensors"),
        ("_rebuild_sparse_tensor", "sparse tensors"),
        ("_rebuild_meta_tensor_no_storage", "tensors without data"),
        ("_rebuild_nested_tensor", "nested tensors"),
    ],
)
def test_tensors_of_another_kind(refused, function, words):
    message = refused(zipped(state(call(name("torch._utils", function)))))
    assert words in message
    assert f"torch._utils.{function}" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (legacy(state(), keys=()), "lacks the storage '0'"),
        (legacy(state(), keys=("0", "0")), "one storage twice"),
        (legacy(state(), keys=("0", "9")), "no tensor uses"),
        (legacy(state(), keys=(0,)), "no tensor uses"),
        (legacy(state(), tail=struct.pack("<q", 4) + bytes(15)), "is cut short"),
        (legacy(state(), tail=struct.pack("<q", 5) + bytes(16)), "size is not the stated one"),
        (legacy(state(), tail=struct.pack("<q", -4) + bytes(16)), "size is not the stated one"),
        (legacy(state(tensor(source=storage(count=5)))), "two sizes"),
        (legacy(state(), keys={}), "has no list of storages"),
        (b"".join(pickle.dumps(x, 2) for x in (MAGIC, 1001)) + program(storage()), "never does"),
    ],
)
def test_legacy_storages_that_lie(refused, content, words):
    assert words in refused(content)


@pytest.mark.parametrize(
    "body",
    [b"0", b"00", b"R", b"u", b"t", b"h\x07", b"q", b"X\xff\xff\xff\x7fab", b"\x8d" + b"\xff" * 8],
)
def test_damaged_pickles(refused, body):
    message = refused(zipped(program(body)))
    assert "damaged pickle" in message or "is cut short" in message


# --- bombs ------------------------------------------------------------------------------------


def peak_of(refused, content):
    tracemalloc.start()
    try:
        refused(content)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


DEPTH = 200_000


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"]" * DEPTH + b"a" * (DEPTH - 1), "holds a list"),
        (b"N" + b"\x85" * DEPTH, "holds a tuple"),
        (b"}N" + b"\x85" * DEPTH + b"Ns", "top-level keys are: none"),  # hashing it would recurse
        (b"(" * DEPTH, "damaged pickle"),
        (b"}" + (text("model") + b"}") * DEPTH + b"s" * DEPTH, "top-level keys are: model"),
    ],
    ids=["lists", "tuples", "key", "marks", "dicts"],
)
def test_deep_nesting_does_not_recurse(refused, body, words):
    assert words in refused(zipped(program(body)))


def test_dicts_that_double_are_walked_once(refused):
    """Each dict holds the next twice: 2**60 paths through sixty dicts."""
    body = b"}q\x00"
    for _ in range(60):
        body += b"0}q\x01(" + text("a") + b"h\x00" + text("b") + b"h\x00uq\x00"
    assert "top-level keys are: a, b" in refused(zipped(program(body)))


def test_huge_memo_index_allocates_nothing(refused):
    body = b"Nr" + struct.pack("<I", 0xFFFFFFF0)
    assert peak_of(refused, zipped(program(body))) < 1 << 20


def test_lengths_that_the_file_does_not_have_allocate_nothing(refused):
    for code, width in ((b"X", 4), (b"B", 4), (b"\x8d", 8), (b"\x8e", 8), (b"\x96", 8)):
        body = code + (1 << (8 * width - 2)).to_bytes(width, "little")
        assert peak_of(refused, legacy(program(body))) < 1 << 20


def test_copied_lists_are_consumed(refused):
    """One long list given to OrderedDict again and again would multiply it in memory."""
    pairs = b"](" + b"".join(text(f"k{i}") + b"N\x86" for i in range(1000)) + b"eq\x07"
    again = (name("collections", "OrderedDict") + b"h\x07\x85R") * 1000
    assert peak_of(refused, zipped(program(pairs + again + b"N"))) < 4 << 20


def test_endless_programs_end(refused, monkeypatch):
    monkeypatch.setattr("edgesam_export.checkpoint.unpickler.MAX_OPERATIONS", 1000)
    assert "more than 1000 operations" in refused(zipped(program(b"N0" * 600 + b"N")))


# --- archives -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["../../evil", "/etc/evil", "a/../evil", "a\\evil"])
def test_paths_that_climb(refused, path):
    message = refused(zipped(state(), {"a/data/0": bytes(16), path: b"x"}))
    assert "has an entry with the path" in message
    assert path in message
    assert os.listdir() == ["weights.pth"]  # noqa: PTH208


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name(refused):
    stream = io.BytesIO(zipped(state()))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("a/data.pkl", state(call(name("posix", "system"), text(COMMAND))))
    assert "two entries named a/data.pkl" in refused(stream.getvalue())


def test_two_pickles(refused):
    assert "2 data.pkl" in refused(zipped(state(), {"b/data.pkl": state()}))


def patched(content, signature, offset, value):
    """``content`` with bytes replaced in the last header of one kind."""
    at = content.rindex(signature) + offset
    return content[:at] + value + content[at + len(value) :]


CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (patched(zipped(state()), CENTRAL, 8, b"\x01\x00"), "is an encrypted archive (a/data/0)"),
        (patched(zipped(state()), CENTRAL, 10, b"\x0c\x00"), "by method 12"),
        (patched(zipped(state()), CENTRAL, 24, b"\x08"), "two lengths"),
        (patched(zipped(state()), CENTRAL, 42, b"\x01\x00\x00\x00"), "has no entry a/data/0 where"),
        (patched(zipped(state()), CENTRAL, 42, b"\xf0\xff\xff\x7f"), "outside the file"),
        (patched(zipped(state()), CENTRAL, 42, bytes(4)), "has no entry a/data/0 where"),
        (patched(zipped(state()), LOCAL, 28, b"\xff\xff"), "outside the file"),
        (zipped(state(), {"a/data/1": bytes(16)}), "lacks the entry a/data/0"),
        (zipped(state(), {"a/data/0": bytes(15)}), "has 15 bytes"),
        (zipped(state())[:-30], "is cut short: it begins as a zip archive, but its directory"),
        (zipped(state())[:60], "is cut short: it begins as a zip archive, but its directory"),
    ],
)
def test_archives_that_lie(refused, content, words):
    assert words in refused(content)


def deflated(data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/data.pkl", state())
        archive.writestr("a/data/0", data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


@pytest.fixture
def opened(tmp_path):
    def open_(content):
        (tmp_path / "w").write_bytes(content)
        return read_checkpoint(tmp_path / "w")

    return open_


def test_compressed_entries_that_lie(opened):
    """A compressed storage is unpacked when its tensor is read: what it holds shows only then."""
    honest = deflated(bytes(16))
    longer = patched(deflated(bytes(100_000)), CENTRAL, 24, struct.pack("<I", 16))
    shorter = patched(deflated(bytes(8)), CENTRAL, 24, struct.pack("<I", 16))
    damaged = patched(honest, LOCAL, 30 + len("a/data/0"), b"\xff\xff")
    with opened(honest) as checkpoint:
        assert checkpoint["w"].tolist() == [0.0] * 4
    for content in (longer, shorter, damaged):
        with opened(content) as checkpoint, pytest.raises(ExportError, match="compressed entry"):
            checkpoint["w"]


def test_a_pickle_that_inflates_too_far(refused):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes((64 << 20) + 1))
    assert "data.pkl of 67108865 bytes" in refused(stream.getvalue())


def test_a_storage_that_inflates_too_far(opened, monkeypatch):
    monkeypatch.setattr("edgesam_export.checkpoint.mapped_file.INFLATE_LIMIT", 15)
    with (
        opened(deflated(bytes(16))) as checkpoint,
        pytest.raises(ExportError, match="entry of 16 bytes, more than is read"),
    ):
        checkpoint["w"]
