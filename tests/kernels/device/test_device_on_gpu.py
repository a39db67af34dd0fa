"""What every device does, on a card alone: for who runs but the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgesam_kernels.device import Device
from edgesam_kernels.device.opening import LIBRARIES, open_device, why_not

from . import test_device
from .test_device import add  # noqa: F401  a fixture of theirs


@pytest.fixture(params=LIBRARIES)
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    """In the place of those that are none."""
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(f"no NVIDIA driver (or its library): {reason}")
    found = open_device(request.param)
    yield found
    found.close()


globals().update({name: one for name, one in vars(test_device).items() if name.startswith("test_")})
