"""Phantoms are the same bytes everywhere, and show what they say."""

from __future__ import annotations

import hashlib

import numpy as np

from edgesam_bench.phantoms import draw

SHA256 = "ba35d1562c202ddc3d9fe2c0b2daa252f48ad5593ed760ff6e4f5c214ac44aab"


def test_the_bytes_never_change() -> None:
    pixels = draw(48, 64, colour=True, seed=9).pixels
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == SHA256
    assert pixels.shape == (48, 64, 3)


def test_grey_ones_are_grey() -> None:
    pixels = draw(48, 64, colour=False, seed=9).pixels
    assert (pixels == pixels[:, :, :1]).all()


def test_ellipses_fill_their_boxes() -> None:
    for ellipse in draw(48, 64, colour=False, seed=9).ellipses:
        inside = ellipse.depth(48, 64) >= 0
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        assert ellipse.box == (columns[0], rows[0], columns[-1], rows[-1])


def test_logits_are_positive_inside_in_the_frame_of_sam() -> None:
    phantom = draw(48, 64, colour=False, seed=9)
    logits, ellipse = phantom.logits(0), phantom.ellipses[0]
    assert logits.shape == (256, 256)
    assert logits[ellipse.y * 4, ellipse.x * 4] > 0
    assert logits[255, 255] == logits.min() == -16
