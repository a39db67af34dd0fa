"""What is wrong with a checkpoint, said without the file's name; knows no format."""

from __future__ import annotations


class UnreadableError(Exception):
    """Why a file cannot be read, as a sentence that lacks its subject: ``is empty (0 bytes)``.

    Never leaves this package: :func:`read_checkpoint` and :class:`Checkpoint` put the path before
    it and raise an :class:`~edgesam.errors.ExportError`.
    """


def shown(text: str, limit: int = 80) -> str:
    """Text from an untrusted file, fit for one line of an error: printable and cut short."""
    cut = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut)
