"""Libraries in NVIDIA's wheels, wherever Python finds the wheels. Knows their names alone.

Who needs one looks for it in site-packages (cuda-bindings) or beside itself (ONNX Runtime). Wheels
may lie in any other folder on Python's path, too: what was loaded from there is then found by its
name.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path


def load_libraries(*names: str) -> None:
    """Load what lies in a wheel's folder and is not loaded yet; of several the first on the path.

    What is nowhere, or does not load, is left to who needs it and can say so. Windows has no such
    folders.

    Args:
        names: as ``cublas``, without ``lib`` and version; first those that others need.
    """
    for name in names:
        for folder in sys.path:
            for file in sorted(Path(folder).glob(f"nvidia/*/lib/lib{name}.so.*")):
                if not _is_loaded(file.name):
                    with contextlib.suppress(OSError):
                        ctypes.CDLL(str(file))


def _is_loaded(name: str) -> bool:
    try:
        ctypes.CDLL(name, os.RTLD_NOLOAD)
    except OSError:
        return False
    return True
