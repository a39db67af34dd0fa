"""A CUDA device in a few words, over cuda-bindings or pycuda. Knows no kernel and no model."""

from edgesam_kernels.device.errors import DeviceError, DeviceOutOfMemory, DeviceUnavailable
from edgesam_kernels.device.protocol import (
    Device,
    Event,
    Graph,
    Kernel,
    Memory,
    Module,
    Pinned,
    Stream,
)

__all__ = [
    "Device",
    "DeviceError",
    "DeviceOutOfMemory",
    "DeviceUnavailable",
    "Event",
    "Graph",
    "Kernel",
    "Memory",
    "Module",
    "Pinned",
    "Stream",
]
