"""The only names a checkpoint's pickle may use, each mapped to a function or value of ours.

Knows what torch's names mean as data; imports and calls nothing that a file asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edgesam_export.checkpoint.dtypes import DTYPES, DType
from edgesam_export.checkpoint.storages import StorageType
from edgesam_export.checkpoint.tensors import Storage, Tensor, make_tensor
from edgesam_export.checkpoint.unreadable import UnreadableError, shown

Arguments = tuple[object, ...]


class Inert:
    """A value nobody needs (a device, a set, raw bytes): kept as a fact, without its content."""


INERT = Inert()


@dataclass(frozen=True)
class Builder:
    """What stands for an allowed callable: ours, taking the pickle's arguments as one tuple."""

    name: str
    build: Callable[[Arguments], object]

    def __call__(self, arguments: Arguments) -> object:
        try:
            return self.build(arguments)
        except _ArgumentsError:
            raise UnreadableError(f"calls {self.name} with arguments it does not take") from None


class _ArgumentsError(Exception):
    """The pickle's arguments fit no known form of the function."""


def _tensor(arguments: Arguments) -> Tensor:
    """torch._utils._rebuild_tensor and _v2; gradients and hooks do not matter."""
    match arguments:
        case (Storage() as storage, offset, shape, strides, *rest):
            _check_metadata(rest[2:])
            return make_tensor(storage, storage.dtype, offset, shape, strides)
    raise _ArgumentsError


def _tensor_v3(arguments: Arguments) -> Tensor:
    """torch._utils._rebuild_tensor_v3: types without a storage class, in an untyped storage."""
    match arguments:
        case (Storage() as storage, offset, shape, strides, _, _, DType() as dtype, *rest):
            _check_metadata(rest)
            return make_tensor(storage, dtype, offset, shape, strides)
    raise _ArgumentsError


def _check_metadata(rest: list[object]) -> None:
    """Refuse what changes a tensor's values: torch negates lazily, by a bit beside the data."""
    match rest:
        case [] | [None]:
            return
        case [dict(metadata)] if not any(metadata.values()):
            return
    raise UnreadableError(
        "has a tensor with its conj or neg bit set: save it after resolve_conj() and resolve_neg()"
    )


def _parameter(arguments: Arguments) -> Tensor:
    match arguments:
        case (Tensor() as tensor, *_):
            return tensor
    raise _ArgumentsError


def _from_type(arguments: Arguments) -> object:
    """torch._tensor._rebuild_from_type_v2(function, type, arguments, state): without the state."""
    match arguments:
        case (Builder() as builder, Inert(), tuple(inner), _) if builder.build is not _from_type:
            return builder(inner)
    raise _ArgumentsError


def _ordered_dict(arguments: Arguments) -> dict[object, object]:
    match arguments:
        case ():
            return {}
        case ([*pairs] as source,) if isinstance(source, list):  # as Python 2 wrote it
            # Emptied, so that a short pickle cannot have one long list copied a thousand times.
            source.clear()
            result: dict[object, object] = {}
            for pair in pairs:
                match pair:
                    case [str(key), value]:
                        result[key] = value
                    case _:
                        raise _ArgumentsError
            return result
    raise _ArgumentsError


def _size(arguments: Arguments) -> object:
    match arguments:
        case ((tuple() | list()) as sizes,):
            return sizes
    raise _ArgumentsError


def _inert(_: Arguments) -> Inert:
    return INERT


_BUILDERS: Mapping[str, Callable[[Arguments], object]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "collections.OrderedDict": _ordered_dict,
    "torch.Size": _size,
    "torch.device": _inert,
    "collections.Counter": _inert,
    "builtins.set": _inert,
    "__builtin__.set": _inert,
    "_codecs.encode": _inert,
}

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
}

ALLOWED: Mapping[str, object] = MappingProxyType(
    {
        **{name: Builder(name, build) for name, build in _BUILDERS.items()},
        **{
            f"{module}.{name}": StorageType(DTYPES[dtype])
            for module in ("torch", "torch.cuda", "torch.storage")
            for name, dtype in _STORAGES.items()
        },
        **{f"torch.{name}": dtype for name, dtype in DTYPES.items()},
        "torch.Tensor": INERT,
        "torch.nn.parameter.Parameter": INERT,
    }
)

# Substrings of torch's names for honest tensors that no graph of ours can take.
_UNSUPPORTED = MappingProxyType(
    {
        "sparse": "sparse tensors",
        "qtensor": "quantised tensors",
        "QInt": "quantised tensors",
        "QUInt": "quantised tensors",
        "Complex": "complex tensors",
        "complex": "complex tensors",
        "float8": "float8 tensors",
        "Float8": "float8 tensors",
        "nested": "nested tensors",
        "meta_tensor": "tensors without data (device meta)",
    }
)


def find_global(module: str, name: str) -> object:
    """What stands for ``module.name``, or a fault that names it. Nothing is imported."""
    full = f"{module}.{name}"
    if full in ALLOWED:
        return ALLOWED[full]
    if module.partition(".")[0] == "torch":
        for part, what in _UNSUPPORTED.items():
            if part in name:
                raise UnreadableError(
                    f"holds {what} ({shown(full)}), which edgesam does not read: "
                    "save them as dense float tensors"
                )
    raise UnreadableError(
        f"names the global {shown(full)}: refused, nothing was executed. "
        "If you trust its source, save only the model's state_dict() and export that"
    )
