"""ONNX Runtime's errors in edgesam's words: they share no narrow base, only what they say."""

from __future__ import annotations

import re

from edgesam.errors import BundleError, EdgeSamError, OutOfMemory

_SIGNS = ("allocat", "bad_alloc", "bad alloc", "alloc_failed", "out of memory")


def line_of(error: BaseException) -> str:
    """The first line of what it says."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def said_of(error: Exception, doing: str, otherwise: str) -> EdgeSamError:
    """What to raise instead of it.

    Args:
        error: of ONNX Runtime.
        doing: what was under way, as ``loading image_side.onnx``.
        otherwise: what failed, where it was not for memory.
    """
    if not any(sign in str(error).lower() for sign in _SIGNS):
        return BundleError(f"{otherwise}: {line_of(error)}")
    asked = re.search(r"buffer of size (\d+)", str(error))
    size = f" ({int(asked[1]) >> 20} MiB more were asked for)" if asked else ""
    return OutOfMemory(
        f"onnxruntime ran out of memory while {doing}{size}: close other programs, or take a "
        "smaller model"
    )
