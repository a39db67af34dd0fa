"""Makes the golden files of the kernels' tests with scikit-image and segment-anything's amg.

    python bench/reference/make_kernel_golden.py --out tests/golden

Needs scikit-image==0.26.0 and scipy==1.17.1 beside requirements.txt. Knows no kernel of ours.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import scipy
import skimage
import stand_ins
from numpy.typing import NDArray

stand_ins.install()

from segment_anything.utils.amg import remove_small_regions  # noqa: E402

THRESHOLDS = (1, 2, 4, 9, 30, 1000)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=Path)
    folder = parser.parse_args().out
    for name, arrays in (("spline", spline()), ("regions", regions())):
        file = folder / f"{name}.npz"
        np.savez_compressed(file, **arrays)
        print(f"{file}: {len(arrays)} arrays, {file.stat().st_size} bytes")
    return 0


def spline() -> dict[str, NDArray[np.generic]]:
    """What MedSAM's inference makes of pictures: NAME/picture and NAME/resized, both uint8.

    Where a side shrinks only noise is resized: the Gaussian's weights come from the machine's exp,
    whose last bit would show in flat regions.
    """
    generator = np.random.Generator(np.random.PCG64(1))

    def noise(*shape: int) -> NDArray[np.uint8]:
        return generator.integers(0, 256, shape, dtype=np.uint8)

    def flats(rows: int, columns: int, levels: list[int]) -> NDArray[np.uint8]:
        chosen = np.array(levels, np.uint8)[generator.integers(0, len(levels), (rows, columns))]
        return chosen.repeat(13, axis=0).repeat(11, axis=1)

    y, x = np.ogrid[:20, :30]
    ramp = (7 + 4 * y + 3 * x).astype(np.uint8)
    grey_flats = flats(3, 3, [7, 100, 199, 255])
    cases = {
        "noise-grows": (noise(23, 31, 3), (47, 61)),
        "noise-shrinks": (noise(61, 40, 3), (23, 17)),
        "noise-shrinks-much": (noise(90, 3, 3), (2, 1)),
        "noise-grows-and-shrinks": (noise(20, 50, 3), (45, 19)),
        "noise-one-side-stays": (noise(32, 16, 3), (32, 40)),
        "noise-four-channels": (noise(9, 7, 4), (16, 20)),
        "noise-two-channels": (noise(9, 7, 2), (16, 20)),
        "grey-grows": (noise(25, 20, 1).repeat(3, axis=2), (64, 50)),
        "flats": (np.dstack([flats(3, 3, [3, 100, 250]) for _ in range(3)]), (101, 96)),
        "grey-flats": (np.dstack([grey_flats] * 3), (78, 128)),
        "grey-flats-one-channel": (grey_flats[:, :, None], (64, 33)),
        "ramp": (np.dstack([ramp, ramp + 20, 250 - ramp]), (50, 75)),
        "one-pixel": (noise(1, 1, 3), (5, 7)),
        "two-pixels": (noise(2, 1, 3), (9, 4)),
        "one-row": (noise(1, 20, 3), (13, 50)),
    }
    arrays: dict[str, NDArray[np.generic]] = {
        "versions": np.array(f"scikit-image {skimage.__version__}, scipy {scipy.__version__}")
    }
    for name, (picture, size) in cases.items():
        values = skimage.transform.resize(
            picture, size, order=3, preserve_range=True, anti_aliasing=True
        )
        arrays[f"{name}/picture"] = picture
        arrays[f"{name}/resized"] = values.astype(np.uint8)
    return arrays


def regions() -> dict[str, NDArray[np.generic]]:
    """Masks (N, H, W), and per threshold (T,) the official function's masks and flags."""
    generator = np.random.Generator(np.random.PCG64(2))
    masks = [generator.random((18, 25)) < share for share in (0.03, 0.1, 0.2, 0.4, 0.6, 0.85, 0.97)]
    masks += [
        np.kron(generator.random((6, 5)) < share, np.ones((3, 5))) > 0 for share in (0.2, 0.5, 0.8)
    ]
    masks += [np.zeros((18, 25), np.bool_), np.ones((18, 25), np.bool_)]
    arrays: dict[str, NDArray[np.generic]] = {
        "versions": np.array(f"opencv {cv2.__version__}, segment-anything 1.0"),
        "masks": np.array(masks),
        "thresholds": np.array(THRESHOLDS),
    }
    for mode in ("holes", "islands"):
        found = [[remove_small_regions(m, limit, mode) for limit in THRESHOLDS] for m in masks]
        arrays[mode] = np.array([[mask for mask, _ in row] for row in found], np.bool_)
        arrays[f"{mode}/changed"] = np.array([[changed for _, changed in row] for row in found])
    return arrays


if __name__ == "__main__":
    sys.exit(main())
