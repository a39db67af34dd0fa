"""A decoder of JPEG 2000 that lets other Python threads run, if imagecodecs is there, for pydicom.

GDCM and Pillow keep them waiting for as long as a picture takes.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner
    from pydicom.uid import UID

NAME = "imagecodecs"

_SYNTAXES = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")  # lossless, and either
# What pydicom wants of a module that decodes (its guide on decoder plugins).
DECODER_DEPENDENCIES = dict.fromkeys(_SYNTAXES, ("imagecodecs",))


def is_available(syntax: str) -> bool:
    """Whether this decodes a transfer syntax here."""
    return syntax in _SYNTAXES and find_spec("imagecodecs") is not None


def offered(syntax: UID) -> bool:
    """The same; and then pydicom knows it by :data:`NAME`. One thread at a time may call this."""
    if not is_available(syntax):
        return False
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(syntax)
    if NAME not in decoder.available_plugins:
        decoder.add_plugin(NAME, (__name__, "decode_frame"))
    return True


def decode_frame(src: bytes, runner: DecodeRunner) -> bytearray:
    """The values of one frame, as pydicom takes them from a decoder.

    Raises:
        Exception: whatever imagecodecs raises on a damaged frame.
        ValueError: the frame has another size than the file says.
    """
    import imagecodecs

    frame = imagecodecs.jpeg2k_decode(src)
    samples = () if runner.samples_per_pixel == 1 else (runner.samples_per_pixel,)
    if frame.shape != (runner.rows, runner.columns, *samples):
        raise ValueError(f"its size is {frame.shape}")
    runner.set_option("bits_allocated", 8 * frame.itemsize)
    runner.set_option("planar_configuration", 0)
    if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):  # it has undone these
        runner.set_option("photometric_interpretation", "RGB")
    return bytearray(frame.astype(frame.dtype.newbyteorder("<"), copy=False).tobytes())
