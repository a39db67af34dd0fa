"""Resizing by area, bit for bit what OpenCV gives; OpenCV itself is not needed here."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam_kernels.area import resize_area

# (rows, columns, channels, to rows, to columns): first 16 digits of the sha256 of what
# cv2.resize(..., interpolation=cv2.INTER_AREA) makes of noise, stripes and a ramp. OpenCV 4.14.0
# and 5.0.0 (x86-64, both headless wheels) agree on every one.
OPENCV = {
    (512, 512, 3, 256, 256): "ca6e38e601cae0b1 649c780d7cdc32d4 22a3ffd8cab4ccc5",
    (512, 512, 1, 256, 256): "4d75eb6c48ed6491 f4e6291614596174 038992667fc7f0c6",
    (768, 768, 3, 256, 256): "08c1d3cf0ce1e8d7 3697b55a9b6bdc86 5d53463a913faedf",
    (1024, 512, 3, 256, 128): "4fad214ab392ef6b bac0e12963693168 8433645e36f9bb0e",
    (256, 512, 3, 256, 256): "0751a7b0f6e900fc 8ae8e892d22eece7 a42ec7893773374f",
    (512, 256, 3, 256, 256): "77c663beec58d95c b8ea1b6b3be2874f ff02b9db501fd9a6",
    (300, 150, 3, 100, 30): "f647a3fd5cc7cb07 a05af6f9f9389038 25fef54af473f5f7",
    (512, 300, 3, 256, 150): "e9fc558d8c6a168d 4567e4ee992eb4a4 dbcc334358a24dc8",
    (900, 600, 3, 256, 171): "c3e24a8906c25366 557ec024717d5657 b7e253c7180ae577",
    (300, 300, 3, 256, 256): "4e97d0503538a8a5 1c69e43eacb916fc 9a65f5fef18be76a",
    (511, 513, 3, 255, 256): "4eab6a09bf428606 bb2e85f2ad525a8f fc9a107de05255c0",
    (257, 257, 3, 256, 256): "cddb72e99280da04 c6835b865d3558d0 6f722f4b9e072aba",
    (1000, 257, 3, 256, 66): "6554e700eba76821 715ae57956dd4636 ae1fe18311884c10",
    (255, 256, 3, 255, 256): "ea268b51cecd0cd2 6297623c0940d57b ac17674f64346b9d",
    (640, 480, 3, 256, 192): "94d53106f8684fad 92740f2cd775e0c0 96c74a4440a2c42d",
    (2000, 31, 3, 256, 4): "3846adfb9d765c54 cbef41635e410d86 e2b43e47004ede06",
    (128, 128, 3, 256, 256): "4079d175ee3ad04d f7356a4ce9ce121a 77533b91fb4190b3",
    (100, 80, 3, 256, 205): "4bcb831f828a9313 b86acb9b7154dd13 2ff269298d25cfbc",
    (255, 254, 1, 256, 255): "ab3960682484bfa9 6cfb242fd608692f 3a8af62367b8da46",
    (3, 7, 3, 110, 256): "5aab768a63ed2ccf 6a492283f0c7a2ea cef475fe3be0204b",
    (1, 1, 3, 256, 256): "27b452f9ed9f1cae 090c834330369a55 c5ca50fbe71e9717",
    (2, 2, 3, 5, 3): "401b82fd2e48f50d 05737cad858fef1c 18123c54356e8999",
    (1, 300, 3, 1, 256): "f4407a48a67ec4af d6cb93c8c3376c37 96329d5175b6b082",
    (300, 1, 3, 256, 1): "2eb03c4e84bb9509 c22897b849f1261a aca4c4b3001cc91b",
    (1, 20, 3, 13, 256): "8bb4eb3df85acaad c2116120214f0923 f1cebdc54ed7cbbb",
    (20, 1, 3, 256, 13): "505062e6645b3bb5 7eceee8c3b333c30 b3d0be8bd1a7854d",
    (1, 20000, 3, 1, 256): "cde0302098d33eb0 d2a1c82f52f62144 c2cd6a1770bc4231",
    (5000, 2, 3, 256, 1): "fa9d791b11e34135 0bb19fbadaf834f7 9fecff5eb272d61e",
    (512, 30, 3, 256, 40): "c394b8caaeb3ee1a d9b676c86a749ed5 de9244781db6ba84",
    (30, 512, 3, 40, 256): "08ffd613540a3bc0 1f39accc142afd18 b4fe2b81acef1edb",
    (500, 100, 1, 256, 100): "f089096fa247ffdd 15255c744f9560d3 832c893c86225ef3",
    (100, 500, 3, 100, 256): "3714fa7e45cf6ead 0a558abf5950c2c1 07e4aab0479b024d",
    (700, 700, 3, 64, 64): "ff9ae79779561092 1d59190852e73c76 f395cde7e7197358",
    (683, 1024, 1, 171, 256): "4b86e1f342f760a9 aca3102aba5b7f91 49a72597ab2e8d67",
    (1, 3001, 1, 1, 1500): "baebbef7df64747a 944eff4d82cd905b 0302798116a32ba3",
    (3001, 4, 3, 1500, 2): "3be860e8dc81710b f4b950e18c4681c6 5582c65bb8e358ba",
}


def noise(rows: int, columns: int, channels: int) -> NDArray[np.uint8]:
    count = rows * columns * channels
    raw = np.random.PCG64([rows, columns, channels]).random_raw(-(-count // 8)).astype("<u8")
    return np.frombuffer(raw.tobytes(), np.uint8)[:count].reshape(rows, columns, channels)


def stripes(rows: int, columns: int, channels: int) -> NDArray[np.uint8]:
    y, x, channel = np.ogrid[:rows, :columns, :channels]
    return ((x // 3 + y // 5 + channel) % 2 * 255).astype(np.uint8)


def ramp(rows: int, columns: int, channels: int) -> NDArray[np.uint8]:
    y, x, channel = np.ogrid[:rows, :columns, :channels]
    return ((x * 7 + y * 13 + channel * 50) % 256).astype(np.uint8)


@pytest.mark.parametrize("case", OPENCV, ids=lambda c: "{}x{}x{}-to-{}x{}".format(*c))
def test_bits_are_opencvs(case: tuple[int, int, int, int, int]) -> None:
    rows, columns, channels, height, width = case
    found = []
    for draw in (noise, stripes, ramp):
        resized = resize_area(draw(rows, columns, channels), height, width)
        assert resized.shape == (height, width, channels)
        assert resized.dtype == np.uint8
        found.append(hashlib.sha256(resized.tobytes()).hexdigest()[:16])
    assert " ".join(found) == OPENCV[case]


def test_the_same_size_is_the_same_picture() -> None:
    picture = noise(9, 7, 3)
    np.testing.assert_array_equal(resize_area(picture, 9, 7), picture)


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_flat_picture_stays_flat(level: int) -> None:
    flat = np.full((101, 67, 3), level, np.uint8)
    for size in [(256, 170), (64, 42), (101, 30), (50, 100)]:
        assert (resize_area(flat, *size) == level).all()
