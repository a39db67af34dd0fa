"""Finding the flat state dict inside a saved object; knows wrappers and prefixes, no format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

from edgesam_export.checkpoint.tensors import Tensor
from edgesam_export.checkpoint.unreadable import UnreadableError, shown

# What training scripts call the model's part, most telling first: taken before anything else.
WRAPPERS = ("model_state_dict", "state_dict", "model")
# Parts that hold tensors but never the model's weights.
NOT_THE_MODEL = ("optim", "scheduler", "scaler", "rng")
# What wrapping a module puts before every key: DataParallel, Lightning, segment-anything's users,
# torch.compile.
PREFIXES = ("module.", "model.", "sam.", "net.", "_orig_mod.")
MAX_DEPTH = 32


def find_state_dict(root: object) -> dict[str, Tensor]:
    """The model's tensors by name, in the order they were saved.

    Goes into the named wrappers, else into the only part that holds tensors, to any sensible
    depth; leaves out what is not a tensor; strips prefixes that all keys share.
    """
    if isinstance(root, Tensor):
        raise UnreadableError("holds one tensor without a name, not a model's state dict")
    level = root
    for _ in range(MAX_DEPTH):
        if not _is_dict(level):
            break
        inner = _inner(level)
        if inner is None:
            tensors = {name: value for name, value in level.items() if isinstance(value, Tensor)}
            if not tensors:
                break
            return _without_prefixes(tensors)
        level = inner
    if not _is_dict(root):
        raise UnreadableError(f"holds a {type(root).__name__}, not a model's state dict")
    raise UnreadableError(f"holds no model's state dict; its top-level keys are: {_names(root)}")


def _inner(level: dict[str, object]) -> dict[str, object] | None:
    """The part of a dict to look into for the model, or None where it is here."""
    for name in WRAPPERS:
        part = level.get(name)
        if _is_dict(part) and _holds_tensors(part):
            return part
    if any(isinstance(value, Tensor) for value in level.values()):
        return None
    parts = {
        name: part
        for name, part in level.items()
        if _is_dict(part)
        and not any(other in name.lower() for other in NOT_THE_MODEL)
        and _holds_tensors(part)
    }
    if len(parts) > 1:
        raise UnreadableError(
            f"holds several groups of tensors ({_names(parts)}) and none is called "
            f"{', '.join(WRAPPERS)}: save the one to export by itself"
        )
    return next(iter(parts.values()), None)


def _holds_tensors(level: dict[str, object]) -> bool:
    """Whether a tensor lies anywhere below. Each dict is visited once: they can form circles."""
    seen = {id(level)}
    pending = [level]
    while pending:
        for value in pending.pop().values():
            if isinstance(value, Tensor):
                return True
            if _is_dict(value) and id(value) not in seen:
                seen.add(id(value))
                pending.append(value)
    return False


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    while True:
        for prefix in PREFIXES:
            if all(name.startswith(prefix) and name != prefix for name in tensors):
                tensors = {name.removeprefix(prefix): t for name, t in tensors.items()}
                break
        else:
            return tensors


def _is_dict(value: object) -> TypeGuard[dict[str, object]]:
    # The unpickler and the safetensors reader keep text keys only.
    return isinstance(value, dict)


def _names(level: Mapping[str, object]) -> str:
    names = [shown(name, 40) for name in level]
    return ", ".join(names[:12] + (["..."] if len(names) > 12 else [])) or "none"
