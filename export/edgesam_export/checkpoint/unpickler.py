"""A pickle machine that builds containers and tensor descriptions; it can execute nothing.

Knows the opcodes of pickle protocols 2 to 5 that torch.save writes. Python's own Unpickler is not
used even with a guarded ``find_class``: its BUILD sets attributes on whatever lies on the stack,
deeply nested keys overflow its C stack, and a memo index makes it allocate gigabytes.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import IO, Any

from edgesam_export.checkpoint.allowed_globals import INERT, Builder, Inert, find_global
from edgesam_export.checkpoint.tensors import Storage, Tensor
from edgesam_export.checkpoint.unreadable import UnreadableError

PersistentLoad = Callable[[object], Storage]

MAX_OPERATIONS = 10_000_000  # about 250,000 tensors; bounds memory and time for hostile pickles

_OPCODES = MappingProxyType({op.code.encode("latin-1"): op for op in pickletools.opcodes})


def unpickle(stream: IO[bytes], persistent_load: PersistentLoad) -> object:
    """The object at the stream's position; the stream is left just behind it.

    Args:
        stream: needs ``read`` and ``readline`` only.
        persistent_load: a persistent id -> its storage, or a fault.
    """
    machine = _Machine(persistent_load)
    for _ in range(MAX_OPERATIONS):
        code = stream.read(1)
        if not code:
            raise UnreadableError("is cut short: its pickle ends in the middle; download it again")
        opcode = _OPCODES.get(code)
        if opcode is None or (opcode.name not in _HANDLERS and opcode.name != "STOP"):
            what = opcode.name if opcode else f"0x{code.hex()}"
            raise UnreadableError(
                f"uses the pickle opcode {what}, which torch.save never writes: refused"
            )
        try:
            if opcode.name == "STOP":
                return machine.pop()
            _HANDLERS[opcode.name](machine, _argument(opcode, stream))
        except (ValueError, IndexError, KeyError):
            raise UnreadableError(
                f"has a damaged pickle (at opcode {opcode.name}): download it again"
            ) from None
    raise UnreadableError(f"has a pickle of more than {MAX_OPERATIONS} operations: refused")


def _argument(opcode: pickletools.OpcodeInfo, stream: IO[bytes]) -> object:
    if opcode.name == "GLOBAL":
        # pickletools would resolve backslash escapes in it, which no unpickler does.
        return [_line(stream), _line(stream)]
    return opcode.arg.reader(stream) if opcode.arg else None


def _line(stream: IO[bytes]) -> str:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise ValueError("no end of line")
    return line[:-1].decode("utf-8")


class _Machine:
    """Stack, marks and memo, with one method for each thing an opcode can do to them."""

    def __init__(self, persistent_load: PersistentLoad) -> None:
        self._persistent_load = persistent_load
        self._stack: list[object] = []
        self._below: list[list[object]] = []  # the stacks under each open mark
        self._memo: dict[int, object] = {}

    def push(self, value: object) -> None:
        self._stack.append(value)

    def pop(self) -> object:
        return self._stack.pop()

    def mark(self, _: object) -> None:
        self._below.append(self._stack)
        self._stack = []

    def pop_mark(self) -> list[object]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def put(self, index: int | None) -> None:
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def get(self, index: int) -> None:
        self.push(self._memo[index])

    def make_tuple(self, length: int) -> None:
        items = [self.pop() for _ in range(length)]
        self.push(tuple(reversed(items)))

    def append(self, items: list[object]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Inert):
            raise UnreadableError(f"appends to a {type(target).__name__}: refused")

    def set_items(self, items: list[object]) -> None:
        target = self._stack[-1]
        if isinstance(target, Inert):
            return
        if not isinstance(target, dict):
            raise UnreadableError(f"sets items of a {type(target).__name__}: refused")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Other keys name no tensor, and hashing hostile ones can take forever (integers that
            # collide) or overflow the C stack (nested tuples).
            if isinstance(key, str):
                target[key] = value

    def find_global(self, module: object, name: object) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise UnreadableError("names a global that is not text: refused")
        self.push(find_global(module, name))

    def call(self, _: object) -> None:
        """REDUCE and NEWOBJ: the same to us, since only our own builders can be called."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Builder) or not isinstance(arguments, tuple):
            raise UnreadableError(
                f"calls a {type(function).__name__} as a function: refused, nothing was executed"
            )
        self.push(function(arguments))

    def build(self, _: object) -> None:
        """BUILD sets attributes. None that torch.save attaches matters: the state is dropped."""
        self.pop()
        target = self._stack[-1]
        if not isinstance(target, (dict, Tensor, Inert)):
            raise UnreadableError(f"sets attributes of a {type(target).__name__}: refused")

    def persistent(self, _: object) -> None:
        self.push(self._persistent_load(self.pop()))


def _discard_top(machine: _Machine, _: object) -> None:
    machine.pop()


def _frozen_set(machine: _Machine, _: object) -> None:
    machine.pop_mark()
    machine.push(INERT)


def _nothing(_: _Machine, __: object) -> None:
    """PROTO and FRAME: protocols differ only in opcodes, and frames only in buffering."""


_Handler = Callable[[_Machine, Any], None]
# fmt: off
_VALUES = (
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
)
# fmt: on

_HANDLERS: Mapping[str, _Handler] = MappingProxyType(
    {
        **dict.fromkeys(_VALUES, _Machine.push),
        **dict.fromkeys(("PROTO", "FRAME"), _nothing),
        **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
        **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.get),
        **dict.fromkeys(("REDUCE", "NEWOBJ"), _Machine.call),
        "NONE": lambda machine, _: machine.push(None),
        "NEWTRUE": lambda machine, _: machine.push(True),
        "NEWFALSE": lambda machine, _: machine.push(False),
        "POP": _discard_top,
        "MARK": _Machine.mark,
        "POP_MARK": lambda machine, _: machine.pop_mark().clear(),
        "EMPTY_TUPLE": lambda machine, _: machine.push(()),
        "TUPLE1": lambda machine, _: machine.make_tuple(1),
        "TUPLE2": lambda machine, _: machine.make_tuple(2),
        "TUPLE3": lambda machine, _: machine.make_tuple(3),
        "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_mark())),
        "EMPTY_LIST": lambda machine, _: machine.push([]),
        "APPEND": lambda machine, _: machine.append([machine.pop()]),
        "APPENDS": lambda machine, _: machine.append(machine.pop_mark()),
        "EMPTY_DICT": lambda machine, _: machine.push({}),
        "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
        "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
        "EMPTY_SET": lambda machine, _: machine.push(INERT),
        "ADDITEMS": lambda machine, _: machine.append(machine.pop_mark()),
        "FROZENSET": _frozen_set,
        "GLOBAL": lambda machine, pair: machine.find_global(*pair),
        "STACK_GLOBAL": lambda machine, _: machine.find_global(
            *[machine.pop(), machine.pop()][::-1]
        ),
        "BUILD": _Machine.build,
        "BINPERSID": _Machine.persistent,
    }
)
