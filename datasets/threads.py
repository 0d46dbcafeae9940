"""How many threads read pictures. OpenCV and PIL release the interpreter's lock while they decode and resize."""

import os


def default_workers():
    """One thread for each processor that this process may use, at most 16."""
    return min(len(os.sched_getaffinity(0)), 16)
