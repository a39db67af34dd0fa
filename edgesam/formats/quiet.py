"""Keeps what imaging libraries warn about off the screen and out of logs; knows no format.

Their warnings quote the values they stumble over, which may be a patient's.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger("edgesam")

# Python's warning filters belong to the whole process: two threads swapping them would leave one
# of them in the other's state for good. So files are decoded one at a time.
_one_at_a_time = threading.RLock()


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Inside, ``library``'s warnings and log records go nowhere; their number is logged at DEBUG.

    Handlers that somebody put on the library's own logger still get its records.
    """
    with _one_at_a_time:
        logger = logging.getLogger(library)
        propagate = logger.propagate
        logger.propagate = False
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
        finally:
            logger.propagate = propagate
            if caught:
                kinds = sorted({entry.category.__name__ for entry in caught})
                _log.debug("%s: %d warnings (%s)", library, len(caught), ", ".join(kinds))
