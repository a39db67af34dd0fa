"""All pictures of a source by number, and the names of their masks. Knows no option, no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgesam.commands.chosen import Chosen
from edgesam.errors import ImageError

if TYPE_CHECKING:
    from edgesam.cine import Cine
    from edgesam.image import Image
    from edgesam.labels import Source
    from edgesam.volume import Axis, Volume


@dataclass(frozen=True, eq=False)
class Frames:
    """All pictures of a source, by number from 0.

    Attributes:
        path: where it was read.
        found: the source, or the paths of pictures.
        axis: of a volume: across which slices are taken.
    """

    path: Path
    found: Source | Sequence[Path]
    axis: Axis | None = None

    def __post_init__(self) -> None:
        import edgesam

        if self.axis is not None and not isinstance(self.found, edgesam.Volume):
            raise ImageError(f"{self.path}: is not a volume: leave --axis out")

    @property
    def source(self) -> Source:
        """What one file of all is written over.

        Raises:
            ImageError: they are pictures by themselves.
        """
        if isinstance(self.found, Sequence):
            raise ImageError(
                f"{self.path}: holds pictures by themselves, which one file cannot hold: give a "
                "folder, as -o masks/"
            )
        return self.found

    def __len__(self) -> int:
        import edgesam

        if isinstance(self.found, edgesam.Volume):
            return self.found.count(self.axis)
        return 1 if isinstance(self.found, edgesam.Image) else len(self.found)

    def read(self, index: int) -> Chosen:
        """One of them; raises what reading it raises."""
        import edgesam

        found: Image | Volume | Cine | Sequence[Path] = self.found
        if isinstance(found, edgesam.Volume):
            image = found.slice(index, axis=self.axis)
            return Chosen(image, found, f"slice {index}")
        if isinstance(found, edgesam.Cine):
            return Chosen(found.frame(index), found, f"frame {index}")
        if isinstance(found, edgesam.Image):
            return Chosen(found, found, "")
        picture = edgesam.read(found[index])
        if not isinstance(picture, edgesam.Image):
            raise ImageError(
                f"{found[index]}: is a volume or cine among pictures: segment it by itself"
            )
        return Chosen(picture, picture, found[index].name)

    def names(self) -> list[str]:
        """Of the masks' files: the pictures' own, else their numbers."""
        if not isinstance(self.found, Sequence):
            return [f"{index:04}.png" for index in range(len(self))]
        stems = {path.stem.lower() for path in self.found}
        alike = len(stems) < len(self.found)  # a.jpg and a.png
        return [f"{path.name if alike else path.stem}.png" for path in self.found]

    def __repr__(self) -> str:
        return f"{len(self)} pictures" if isinstance(self.found, Sequence) else repr(self.found)
