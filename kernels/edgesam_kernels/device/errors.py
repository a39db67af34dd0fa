"""What can go wrong with a device. Knows no library.

Engines turn these into edgesam's own errors; whoever uses the kernels alone sees them as they are.
"""


class DeviceError(RuntimeError):
    """A call to the device, its driver or its compiler failed: in one line which and why."""


class DeviceUnavailable(DeviceError):
    """No library, no driver or no device: in one line what is missing and what to do."""


class DeviceOutOfMemory(DeviceError, MemoryError):
    """The device, or page-locked memory of the host, has not got what was asked for."""
