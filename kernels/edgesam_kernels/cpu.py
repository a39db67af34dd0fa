"""What the CUDA kernels compute, in NumPy: the reference of their tests, and the CPU's own way."""

from edgesam_kernels.prepare import Preparation, prepare, resize

__all__ = ["Preparation", "prepare", "resize"]
