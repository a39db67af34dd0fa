"""What the CUDA kernels compute, in NumPy: the reference of their tests, and the CPU's own way."""

from edgesam_kernels.prepare import Preparation as Preparation
from edgesam_kernels.prepare import prepare as prepare
from edgesam_kernels.prepare import resize as resize
