"""Segmented objects over a picture, a volume or a cine, ready to be written. Knows no format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.cine import Cine
from edgesam.errors import VolumeError
from edgesam.image import Image
from edgesam.mask import Mask
from edgesam.place import Place
from edgesam.plane import Plane
from edgesam.provenance import Provenance
from edgesam.volume import Volume

Source = Image | Volume | Cine
Written = Mask | Sequence[Mask] | NDArray[Any]
_MOST = 65535
_SAME = 1e-3  # millimetres


@dataclass(frozen=True)
class Code:
    """A coded concept (DICOM PS3.3 8.8).

    Attributes:
        value: as ``10200004``.
        scheme: as ``SCT`` (SNOMED CT) or ``DCM``.
        meaning: as ``Liver``.
    """

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """What an object is.

    Attributes:
        name: for people, as ``liver``; at most 64 characters, and never a patient's.
        category: of DICOM's Segmented Property Category (PS3.16 CID 7150).
        type: of DICOM's Segmented Property Type.
    """

    name: str
    category: Code = Code("309825002", "SCT", "Spatial and Relational Concept")
    type: Code = Code("111099", "DCM", "Selected region")


@dataclass(frozen=True, eq=False)
class Labels:
    """Objects as one array of labels.

    Attributes:
        array: uint8 or uint16, 0 for nothing, else 1 for the first label, and so on. Of a picture
            (H, W), of a cine (N, H, W), of a volume its own shape and axis order.
        labels: one for each number from 1.
        provenance: what made them, None if it is not known.
    """

    array: NDArray[np.uint8] | NDArray[np.uint16]
    labels: tuple[Label, ...]
    provenance: Provenance | None = None

    @classmethod
    def over(
        cls,
        source: Source,
        written: Written,
        names: Sequence[str | Label] | None = None,
        provenance: Provenance | None = None,
    ) -> Labels:
        """Masks or an array, brought onto the source's grid.

        Args:
            source: what they lie on.
            written: one :class:`Mask` or several, each in the slice or frame it was made on; where
                two overlap the later one wins. Or an array of the source's size: booleans for one
                object, whole numbers for labels. A mask knows its plane in a volume and its frame
                of a cine, but not which cine.
            names: of the objects, in the order of their labels; ``object 1`` and so on.
            provenance: what made an array; masks know it themselves.

        Raises:
            VolumeError: the size is not the source's, a mask is of another volume or of none,
                labels are negative or above 65535, or there are fewer names than labels.
        """
        shape = grid(source)
        if isinstance(written, np.ndarray):
            array = _checked(written, shape)
            # A name without a voxel is an object of which nothing was found.
            least = 1 if written.dtype.kind == "b" else 0
            count = max(int(array.max()), len(names or ()), least)
        else:
            masks = [written] if isinstance(written, Mask) else list(written)
            count = len(masks)
            if not masks:
                raise VolumeError("there is no mask to write")
            if count > _MOST:
                raise VolumeError(f"{count} masks are too many to write: give {_MOST} at most")
            if not all(isinstance(mask, Mask) for mask in masks):
                raise VolumeError("give masks of Sam.segment, or one array of the source's size")
            array = np.zeros(shape, np.uint8 if count < 256 else np.uint16)
            for number, mask in enumerate(masks, start=1):
                _view(array, source, mask.array.shape, mask.place)[mask.array] = number
            provenance = _shared(mask.provenance for mask in masks) or provenance
        given = [Label(n) if isinstance(n, str) else n for n in names or ()]
        if names is not None and len(given) != count:
            raise VolumeError(f"{count} objects, but {len(given)} names: give one for each")
        labels = given or [Label(f"object {number}") for number in range(1, count + 1)]
        return cls(array, tuple(labels), provenance)


def label_map(masks: Iterable[NDArray[np.bool_]], size: tuple[int, ...]) -> NDArray[np.uint32]:
    """(H, W): 1 for the first mask, and so on; where masks overlap the later one wins."""
    labels = np.zeros(size, np.uint32)
    for number, mask in enumerate(masks, start=1):
        labels[mask] = number
    return labels


def placed(source: Source, picture: NDArray[Any], place: Place | None) -> NDArray[Any]:
    """Booleans or labels (H, W) of one slice or frame -> an array of the source's size.

    Booleans stay booleans: they are one object, also where nothing was found.

    Raises:
        VolumeError: the place is not one in the source, or the sizes differ.
    """
    kind = np.bool_ if picture.dtype == np.bool_ else _smallest(picture)
    # Pages of zeros that nobody writes to take no memory: a large study costs one slice here.
    array = np.zeros(grid(source), kind)
    put(array, source, picture, place)
    return array


def put(array: NDArray[Any], source: Source, picture: NDArray[Any], place: Place | None) -> None:
    """Write booleans or labels (H, W) of one slice or frame into an array of the source's size.

    Raises:
        VolumeError: the place is not one in the source, or the sizes differ.
    """
    _view(array, source, picture.shape, place)[...] = picture


def grid(source: Source) -> tuple[int, ...]:
    """The shape of an array of labels over a picture, a volume or a cine."""
    if isinstance(source, Volume):
        return source.shape
    if isinstance(source, Cine):
        return len(source), source.height, source.width
    return source.height, source.width


def _shared(made: Iterable[Provenance | None]) -> Provenance | None:
    """What made all of them; grey levels may differ from slice to slice."""
    several = set(made)
    alike = {p and replace(p, mapping="differs from slice to slice") for p in several}
    return (several if len(several) == 1 else alike).pop() if len(alike) == 1 else None


def _checked(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.shape != shape:
        raise VolumeError(f"the mask is {array.shape}, what it lies on is {shape}")
    if array.dtype.kind not in "biu":
        raise VolumeError(f"a mask is booleans or whole-numbered labels; found {array.dtype}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > _MOST:
        raise VolumeError(f"labels must be 0 to {_MOST}; found {low} to {high}")
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    return array.astype(_smallest(array), copy=False)


def _smallest(array: NDArray[Any]) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if int(array.max()) < 256 else np.uint16


def _view(
    array: NDArray[Any], source: Source, size: tuple[int, ...], place: Place | None
) -> NDArray[Any]:
    """The view of the source's array that a picture of that size and place is."""
    picture = array
    if isinstance(source, Volume):
        if place is None or place.plane is None or not _is_of(place, place.plane, source):
            raise VolumeError("the mask was not made on a slice of this volume")
        picture = place.plane.of(array)
    elif isinstance(source, Cine):
        if place is None or place.frame is None or place.frame >= len(source):
            raise VolumeError("the mask was not made on a frame of this cine")
        picture = array[place.frame]
    elif place is not None and source.place is not None and _elsewhere(place, source.place):
        raise VolumeError("the mask was not made on this picture, but on another slice or frame")
    if picture.shape != size:
        raise VolumeError(f"the mask is {size}, the picture {picture.shape}")
    return picture


def _is_of(place: Place, plane: Plane, volume: Volume) -> bool:
    """Whether a plane is the volume's own: series of one study often have the same size."""
    if plane.shape != volume.shape:
        return False
    if place.affine is None:
        return volume.spacing_source is None
    return np.allclose(place.affine, plane.affine(volume.affine), atol=_SAME)


def _elsewhere(mask: Place, picture: Place) -> bool:
    """Whether what is known of both says that they are two pictures."""
    if mask.frame is not None and picture.frame is not None and mask.frame != picture.frame:
        return True
    if mask.affine is None or picture.affine is None:
        return mask.plane is not None and picture.plane is not None and mask.plane != picture.plane
    return not np.allclose(mask.affine, picture.affine, atol=_SAME)
