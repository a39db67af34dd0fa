"""Values of single DICOM elements as text or numbers; knows no meaning of any.

pydicom converts and checks an element at its first use, which costs more than all else when the
headers of a thousand slices are read: text and 16-bit numbers are taken from its raw bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

_TEXT = ("CS", "DS", "IS", "UI")  # of the default character set: PS3.5 6.1.2.2 and 6.2


def text(group: Dataset, name: str) -> str:
    """The text of a code, number or UID element, its values divided by backslashes.

    Empty if the element is absent or empty. Raises nearly anything on damaged elements.
    """
    tag, kind = _dictionary(name)
    if (raw := _raw(group, tag)) is not None and (raw.VR or kind) in _TEXT:
        return bytes(raw.value or b"").decode("ascii", "replace").strip(" \0")
    value = group.get(name)
    if value is None:
        return ""
    if isinstance(value, (str, int, float)):
        return str(value).strip(" \0")
    return "\\".join(str(each) for each in value)


def whole(group: Dataset, name: str) -> int | None:
    """A whole number, None if it is absent or empty. Raises nearly anything if it is none."""
    tag, kind = _dictionary(name)
    raw = _raw(group, tag)
    if raw is not None and (raw.VR or kind) == "US" and len(raw.value or b"") == 2:
        return int.from_bytes(raw.value, "little" if raw.is_little_endian else "big")
    found = text(group, name)
    return int(float(found)) if found else None


def decimals(group: Dataset, name: str) -> tuple[float, ...]:
    """All numbers of an element; none if it is absent or empty.

    Raises nearly anything if they are none.
    """
    found = text(group, name)
    return tuple(float(number) for number in found.split("\\")) if found else ()


def _raw(group: Dataset, tag: int) -> Any:
    """An element as it was read, None if it is absent, has been converted, or is a sequence."""
    from pydicom.dataelem import RawDataElement

    if tag not in group:
        return None
    item = group.get_item(tag)
    return item if isinstance(item, RawDataElement) and item.length != 0xFFFFFFFF else None


@lru_cache(maxsize=256)
def _dictionary(name: str) -> tuple[int, str]:
    """An element's tag and type in the standard's dictionary (PS3.6)."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(name)
    if tag is None:
        raise KeyError(name)
    return tag, dictionary_VR(tag)
