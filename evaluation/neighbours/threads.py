"""The threads that treat pieces of a product while MXNet computes nothing. NumPy releases Python's lock in them."""

from __future__ import annotations

import functools
import os
from concurrent.futures import Future, ThreadPoolExecutor

from core.runtime import usable_processors


def count() -> int:
    """How many threads work at once: OMP_NUM_THREADS where it is set, else the processors of this process."""
    try:
        return max(1, int(os.environ['OMP_NUM_THREADS'].split(',')[0]))
    except (KeyError, ValueError):
        return usable_processors()


@functools.lru_cache(maxsize=1)
def _pool(size):
    return ThreadPoolExecutor(size, thread_name_prefix='evaluation')


def submit(function, *args) -> Future:
    """A concurrent.futures.Future of function(*args)."""
    return _pool(count()).submit(function, *args)


def run(function, *iterables) -> list:
    """list(map(function, *iterables)), in threads; they start with the first call, not with the import.

    Example
    -------
    >>> run(pow, [2, 3], [3, 2])
    [8, 9]
    """
    return list(_pool(count()).map(function, *iterables))
