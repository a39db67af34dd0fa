"""What the CUDA kernels do, in NumPy: the same names, arguments and answers. Knows no device."""

from edgesam_kernels.finish import finish
from edgesam_kernels.prepare import Preparation, prepare, resize

__all__ = ["Preparation", "finish", "prepare", "resize"]
