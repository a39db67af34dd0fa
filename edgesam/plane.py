"""Which voxels of a volume a picture shows, and both ways between them. Knows only whole numbers.

A picture of a volume shows one plane of voxels, each as one pixel: nothing is resampled, so that
points and masks come back exactly. It may be turned, so that the patient lies as on a viewer's
screen; pixels that are not square are the model's business (:class:`edgesam.Fit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesam.affine import array_axis, patient_axes

# Where the rows and columns of a plane across each patient axis run on a viewer's screen:
# sagittal: down to the feet, right to the back; coronal: down to the feet, right to the patient's
# left; axial: down to the back, right to the patient's left.
_SCREEN: dict[int, tuple[tuple[int, int], tuple[int, int]]] = {
    0: ((2, -1), (1, 1)),
    1: ((2, -1), (0, 1)),
    2: ((1, 1), (0, 1)),
}
NAMES = ("sagittal", "coronal", "axial")
"""Of the planes across each patient axis."""


@dataclass(frozen=True)
class Plane:
    """One plane of an array of three axes, as a picture.

    Attributes:
        shape: of the array.
        axis: of the array; the picture is a plane across it.
        index: along that axis.
        row_axis: the array's axis that runs down the picture.
        column_axis: the array's axis that runs to its right.
        rows_reversed: the picture's first row is the array's last.
        columns_reversed: the picture's first column is the array's last.
    """

    shape: tuple[int, int, int]
    axis: int
    index: int
    row_axis: int
    column_axis: int
    rows_reversed: bool = False
    columns_reversed: bool = False

    def __post_init__(self) -> None:
        if sorted((self.axis, self.row_axis, self.column_axis)) != [0, 1, 2]:
            raise ValueError("axis, row_axis and column_axis are 0, 1 and 2 in some order")
        if not 0 <= self.index < self.shape[self.axis]:
            raise ValueError(f"index {self.index} is outside 0..{self.shape[self.axis] - 1}")

    @classmethod
    def stored(cls, shape: tuple[int, int, int], axis: int, index: int) -> Plane:
        """The plane with its axes as they are stored, the first of them downwards."""
        rows, columns = (other for other in range(3) if other != axis)
        return cls(shape, axis, index, rows, columns)

    @classmethod
    def on_screen(
        cls, shape: tuple[int, int, int], axis: int, index: int, affine: NDArray[np.float64]
    ) -> Plane:
        """The plane as radiology shows it: the patient's head or front up, their left at the right.

        Oblique planes are shown as the closest of axial, coronal and sagittal.
        """
        patient = patient_axes(affine)
        (down, down_sign), (right, right_sign) = _SCREEN[patient[axis][0]]
        rows, columns = array_axis(affine, down), array_axis(affine, right)
        return cls(
            shape,
            axis,
            index,
            rows,
            columns,
            rows_reversed=patient[rows][1] != down_sign,
            columns_reversed=patient[columns][1] != right_sign,
        )

    @property
    def height(self) -> int:
        """Rows of the picture."""
        return self.shape[self.row_axis]

    @property
    def width(self) -> int:
        """Columns of the picture."""
        return self.shape[self.column_axis]

    def picture(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """The plane (A, B), axes in the array's order -> the picture (height, width); a view."""
        turned = voxels if self.row_axis < self.column_axis else voxels.swapaxes(0, 1)
        return turned[self._step(self.rows_reversed), self._step(self.columns_reversed)]

    def voxels(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The inverse of :meth:`picture`; a view."""
        turned = picture[self._step(self.rows_reversed), self._step(self.columns_reversed)]
        return turned if self.row_axis < self.column_axis else turned.swapaxes(0, 1)

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """The picture of this plane of a whole array; a view."""
        return self.picture(array[(slice(None),) * self.axis + (self.index,)])

    def to_voxel(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 2) as x, y of the picture, as prompts have them -> index (..., 3)."""
        xy = np.asarray(points, np.float64)
        index = np.full((*xy.shape[:-1], 3), float(self.index))
        x, y = xy[..., 0], xy[..., 1]
        index[..., self.column_axis] = self.width - 1 - x if self.columns_reversed else x
        index[..., self.row_axis] = self.height - 1 - y if self.rows_reversed else y
        return index

    def to_picture(self, index: ArrayLike) -> NDArray[np.float64]:
        """Indices (..., 3) of the array -> points (..., 2) as x, y; the plane's own is ignored."""
        at = np.asarray(index, np.float64)
        x, y = at[..., self.column_axis], at[..., self.row_axis]
        x = self.width - 1 - x if self.columns_reversed else x
        y = self.height - 1 - y if self.rows_reversed else y
        return np.stack([x, y], axis=-1)

    def affine(self, volume: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the picture: (x, y, planes further on, 1) -> millimetres, from the volume's affine."""
        corners = self.to_voxel([(0, 0), (1, 0), (0, 1)])
        into = np.eye(4)
        into[:3, 0], into[:3, 1] = corners[1] - corners[0], corners[2] - corners[0]
        into[:3, 2] = np.eye(3)[self.axis]
        into[:3, 3] = corners[0]
        moved: NDArray[np.float64] = volume @ into
        return moved

    @staticmethod
    def _step(reverse: bool) -> slice:
        return slice(None, None, -1 if reverse else None)
