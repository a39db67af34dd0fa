"""What a file that is no checkpoint probably is; knows first bytes, opens nothing."""

from __future__ import annotations

HEAD = 512  # bytes from the file's start that are enough to tell

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "is a PNG picture, not a checkpoint"),
    (b"\xff\xd8\xff", "is a JPEG picture, not a checkpoint"),
    (b"%PDF", "is a PDF document, not a checkpoint"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, not a PyTorch checkpoint: convert it first"),
    (b"\x93NUMPY", "is a numpy array, not a checkpoint"),
    (b"GGUF", "is a GGUF file, not a PyTorch checkpoint: take the original weights"),
    (b"\x1f\x8b", "is gzip-compressed: unpack it first"),
    (b"\xfd7zXZ\x00", "is xz-compressed: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it first"),
    (b"Rar!", "is a RAR archive: unpack it first"),
    (
        b"version https://git-lfs.github.com/spec/",
        "is a git-lfs pointer, not the checkpoint itself: run git lfs pull",
    ),
)
_TAR_MAGIC = slice(257, 262)


def describe(head: bytes) -> str:
    """The fault of a file that none of the readers takes, without its subject.

    Args:
        head: the file's first :data:`HEAD` bytes.
    """
    for signature, what in _SIGNATURES:
        if head.startswith(signature):
            return what
    if head[_TAR_MAGIC] == b"ustar":
        return (
            "is a tar archive: either one to unpack first, or torch's oldest format (before 0.2), "
            "which must be loaded and saved anew by PyTorch"
        )
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<script")):
        return (
            "is an HTML page, not a checkpoint: the download address probably asked for a login "
            "or a confirmation; download the file by hand"
        )
    if text.startswith((b"<?xml", b"<error")):
        return "is an XML page, not a checkpoint: the server probably refused the download"
    if text.startswith((b"{", b"[")):
        return "is a JSON text, not a checkpoint: the server probably refused the download"
    return (
        f"is not a checkpoint: it begins with the bytes {head[:8].hex(' ')}, "
        "and neither torch.save (zip or legacy) nor safetensors does"
    )
