"""Reads a MATLAB file and writes it as JSON: run as a process of its own, which may crash; see lists.load_mat."""

import json
import resource
import sys

MEMORY = 8 << 30    # bytes of address space; OpenBLAS reserves some of it for its threads


def plain(value):
    """Lists, dicts, numbers and text of what SciPy returns."""
    import numpy as np
    if isinstance(value, np.ndarray):
        if value.dtype.names:
            return {name: [plain(one) for one in np.atleast_1d(value[name])] for name in value.dtype.names}
        return [plain(one) for one in value.tolist()] if value.ndim else plain(value.item())
    if isinstance(value, np.void) and value.dtype.names:
        return {name: plain(value[name]) for name in value.dtype.names}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (str, int, float)) else str(value)


def main():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import scipy.io
    variables = scipy.io.loadmat(sys.argv[1], squeeze_me=True)
    json.dump({name: plain(value) for name, value in variables.items() if not name.startswith('__')}, sys.stdout)


if __name__ == '__main__':
    main()
