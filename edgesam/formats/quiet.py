"""Keeps what imaging libraries say off the screen and out of logs; knows no format.

Their warnings and errors quote the values they stumble over, which may be a patient's.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from edgesam.errors import EdgeSamError

_log = logging.getLogger("edgesam")

# Python's warning filters belong to the whole process: two threads swapping them would leave one
# of them in the other's state for good. So files are decoded one at a time.
_one_at_a_time = threading.RLock()


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Inside, ``library``'s warnings and log records go nowhere; their number is logged at DEBUG.

    Handlers that somebody put on the library's own logger still get its records. An error of ours
    leaves without the library's errors behind it: a log with tracebacks would print them.
    """
    with _one_at_a_time:
        logger = logging.getLogger(library)
        propagate = logger.propagate
        logger.propagate = False
        nowhere = logging.NullHandler()  # with no handler at all, Python prints to standard error
        logger.addHandler(nowhere)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
        except EdgeSamError as error:
            error.__cause__ = error.__context__ = None
            raise
        finally:
            logger.removeHandler(nowhere)
            logger.propagate = propagate
            if caught:
                kinds = sorted({entry.category.__name__ for entry in caught})
                _log.debug("%s: %d warnings (%s)", library, len(caught), ", ".join(kinds))
