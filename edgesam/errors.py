"""The errors edgesam raises on purpose; knows nothing of what raises them.

    EdgeSamError
    ├── ModelNotFound        no such model, or its bundle or checkpoint is not on this machine
    ├── ChecksumMismatch     a file's sha256 is not the one that was promised
    ├── BundleError          a bundle is missing a file, broken, or of a newer schema
    ├── EngineUnavailable    an engine or device asked for by name cannot run here
    ├── PrecisionMismatch    what an engine really runs is not what the bundle says
    ├── PromptError          a prompt that cannot be meant, or that the model does not take
    ├── ImageError           pixels or an image file that cannot be used
    ├── VolumeError          slices, voxels or their geometry that make no volume, or not this one
    ├── OutOfMemory          a model or a picture that does not fit into free memory (MemoryError)
    ├── ExportError          a checkpoint that cannot be read or turned into graphs
    └── ParityError          results differ from the reference, or cannot be compared with it

Each message is one line: what failed, what was found, what to do. Programming mistakes
(a wrong type, an unknown keyword) stay TypeError and ValueError.
"""


class EdgeSamError(Exception):
    """Base of every error edgesam raises on purpose. The command line prints it and exits 1."""


class ModelNotFound(EdgeSamError):
    """No such model, or its bundle or checkpoint is not on this machine."""


class ChecksumMismatch(EdgeSamError):
    """A file's sha256 is not the one that was promised."""


class BundleError(EdgeSamError):
    """A bundle lacks a file, is broken, or has a newer schema than this edgesam reads."""


class EngineUnavailable(EdgeSamError):
    """An engine or device that was asked for by name cannot run on this machine."""


class PrecisionMismatch(EdgeSamError):
    """What the engine really runs is not what the bundle's variant says."""


class PromptError(EdgeSamError):
    """A prompt that cannot be meant, or a kind of prompt the model was not trained for."""


class ImageError(EdgeSamError):
    """Pixels, or a file of pixels, that cannot be used."""


class VolumeError(EdgeSamError):
    """Slices, voxels or geometry that make no volume, or do not fit the one they are used with."""


class OutOfMemory(EdgeSamError, MemoryError):
    """A model or a picture that does not fit into this machine's free memory."""


class ExportError(EdgeSamError):
    """A checkpoint that cannot be read, recognised or turned into graphs."""


class ParityError(EdgeSamError):
    """Results differ from the reference, or cannot be compared with it."""
