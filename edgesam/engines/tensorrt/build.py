"""The program that builds one plan, run by itself because native builders can crash.

:func:`main` takes a request as JSON on standard input, writes the plan and the timing cache where
the request says, and tells of its progress, or why it failed, in lines of JSON on standard output.
Knows no key and no folder of plans.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from edgesam.engines.tensorrt.building import MARK, Request
from edgesam.errors import EdgeSamError


def answer(request: Request) -> None:
    """Build it.

    Raises:
        EdgeSamError: as parsing and building do.
    """
    from edgesam.engines.tensorrt.flavour import flavour_called
    from edgesam.engines.tensorrt.network import built, parsed

    network = parsed(flavour_called(request.flavour), Path(request.graph), request.precision)
    timing = None if request.timing is None else Path(request.timing)
    earlier = timing.read_bytes() if timing is not None and timing.exists() else b""
    plan, cache = built(
        network,
        request.capabilities,
        lambda phase: _say(phase=phase),
        earlier if timing is not None else None,
    )
    Path(request.plan).write_bytes(memoryview(plan))
    if timing is not None and cache is not None:
        timing.write_bytes(cache)


def main() -> int:
    """Reads the request; the exit code is 0 if the plan is there."""
    try:
        answer(Request.from_json(sys.stdin.read()))
    except EdgeSamError as error:
        _say(error=type(error).__name__, message=str(error))
        return 1
    except MemoryError:
        _say(error="OutOfMemory", message="memory ran out while a TensorRT plan was being built")
        return 1
    except ImportError as error:
        _say(error="EngineUnavailable", message=f"the plan's builder cannot be imported: {error}")
        return 1
    except OSError as error:
        _say(error="BundleError", message=f"the plan cannot be written: {error.strerror}")
        return 1
    return 0


def _say(**event: Any) -> None:
    sys.stdout.write(f"{MARK}{json.dumps(event)}\n")
    sys.stdout.flush()
