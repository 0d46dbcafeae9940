"""What has to happen before `import mxnet`, also where nothing of this suite is imported (a notebook).

scripts/setup.sh copies this file into the environment and lets every Python there call `install` when it starts (a
.pth file does that). So it uses the standard library alone and imports none of it before MXNet is asked for.
"""

from __future__ import annotations

import sys

# MXNet 1.9.1 was written against NumPy < 1.24 and still names these.
ALIASES = {'bool': bool, 'int': int, 'float': float, 'object': object}

# In this order, because each needs symbols of the ones before it.
CUDA_WHEELS = ('cuda_runtime', 'cuda_nvrtc', 'cublas', 'cufft', 'curand', 'cusparse', 'cusolver', 'nvtx', 'nccl',
               'cudnn')


class Finder:
    """Finds nothing; the first search for MXNet is the moment to prepare its import."""

    @staticmethod
    def find_spec(name, path=None, target=None) -> None:
        """Part of the protocol of sys.meta_path."""
        if name == 'mxnet':
            sys.meta_path.remove(Finder)
            prepare()


def install() -> None:
    """Prepare the import of MXNet when it comes."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)


def prepare() -> None:
    """Give NumPy its old names back and open the CUDA libraries, if the GPU build is installed."""
    try:
        import numpy
    except ImportError:
        return
    restore_numpy_aliases(numpy)
    if (installed_mxnet() or '').startswith('mxnet-cu'):
        preload_cuda_wheels()
        preload_cuda_wheels()


def restore_numpy_aliases(numpy) -> None:
    """Set the names of ALIASES that NumPy has no more."""
    for name, value in ALIASES.items():
        if name not in numpy.__dict__:
            setattr(numpy, name, value)


def preload_cuda_wheels() -> list[str]:
    """Open the CUDA 11 libraries that pip installed, so that libmxnet.so finds them without a CUDA toolkit."""
    import ctypes
    import importlib.util
    import pathlib
    spec = importlib.util.find_spec('nvidia')
    if spec is None:
        return []
    opened = []
    for root in spec.submodule_search_locations:
        for wheel in CUDA_WHEELS:
            for library in sorted(pathlib.Path(root, wheel, 'lib').glob('*.so*')):
                try:
                    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
                    opened.append(library.name)
                except OSError:  # cuDNN's training parts need its inference parts first: a second round opens them
                    continue
    return opened


def installed_mxnet() -> str | None:
    """Name of the installed MXNet distribution ('mxnet', 'mxnet-cu112', ...) or None."""
    import importlib.metadata
    names = {d.metadata['Name'].lower() for d in importlib.metadata.distributions() if d.metadata['Name']}
    found = sorted(name for name in names if name == 'mxnet' or name.startswith('mxnet-cu'))
    return found[-1] if found else None
