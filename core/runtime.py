"""The one place that imports MXNet.

Every module takes MXNet from here (`from core.runtime import mx, nd, gluon`), so that what has to happen before the
import has happened: the thread count, NumPy's removed aliases, the CUDA libraries of the GPU build. The import itself
happens at the first use of one of these names: a command line that is refused or only printed does not wait for it.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import os
import pathlib
import sys
import types
from collections.abc import Iterable, MutableMapping

from core.errors import UserError
from core.lazy import Lazy
from core.startup import installed_mxnet, prepare

OURS = 'GLUON_DML_OMP_NUM_THREADS'    # the value of OMP_NUM_THREADS where this module chose it


def usable_processors(cgroup: str = '/sys/fs/cgroup', affinity: Iterable[int] | None = None) -> int:
    """Processors that this process may use: CPU affinity, bounded by the cgroup's CPU quota (v2 or v1)."""
    count = len(affinity if affinity is not None else os.sched_getaffinity(0))
    root = pathlib.Path(cgroup)
    try:
        quota, period = (root / 'cpu.max').read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (root / 'cpu/cpu.cfs_quota_us').read_text().strip()
            period = (root / 'cpu/cpu.cfs_period_us').read_text().strip()
        except OSError:
            return count
    if quota in ('max', '-1'):
        return count
    return max(1, min(count, math.ceil(int(quota) / int(period))))


def set_threads(environ: MutableMapping[str, str] = os.environ) -> None:
    """MXNet starts half as many threads as there are processors unless it is told; a value set by the user wins."""
    if 'OMP_NUM_THREADS' not in environ:
        environ['OMP_NUM_THREADS'] = environ[OURS] = str(usable_processors())


def chosen_threads(environ: MutableMapping[str, str] = os.environ) -> str:
    """OMP_NUM_THREADS where the user set it, here or in a process that started this one; else ''.

    >>> variables = {}
    >>> set_threads(variables)
    >>> chosen_threads(variables), chosen_threads({**variables, 'OMP_NUM_THREADS': '7'})
    ('', '7')
    """
    value = environ.get('OMP_NUM_THREADS', '')
    return '' if value == environ.get(OURS) else value


def check_numpy(numpy: types.ModuleType) -> None:
    """UserError for a NumPy that MXNet 1.9.1 cannot use."""
    if int(numpy.__version__.split('.')[0]) >= 2:
        raise UserError(f'NumPy {numpy.__version__} is installed, but MXNet 1.9.1 needs NumPy 1.x. Fix: pip install '
                        '"numpy<2", or run bash scripts/setup.sh')


@functools.lru_cache(maxsize=1)
def has_mxnet() -> bool:
    """Whether MXNet is installed here; exported networks are embedded and scored without it."""
    try:
        return importlib.util.find_spec('mxnet') is not None
    except (ImportError, ValueError):
        return False


def explain_import_error(error: Exception, distribution: str | None) -> str:
    """The plain words for a failed `import mxnet`."""
    text = str(error)
    if distribution is None:
        return f'MXNet is not installed in {sys.prefix}. Fix: bash scripts/setup.sh'
    if 'libcuda.so' in text:
        return (f'{distribution} is installed, but there is no NVIDIA driver on this machine (libcuda.so.1 is '
                'missing). Fix: install the driver, or bash scripts/setup.sh --cpu')
    if '.so' in text and 'cannot open shared object' in text:
        library = text.split(':')[0]
        return (f'{distribution} needs the library {library}, which this machine does not have. Fix: bash '
                'scripts/setup.sh for CUDA libraries, or your package manager for the others (Debian: apt-get install '
                'libgomp1 libquadmath0)')
    return f'import mxnet failed: {text}'


@functools.lru_cache(maxsize=1)
def load() -> types.ModuleType:
    """Prepare the process and import MXNet, once."""
    try:
        import numpy
    except ImportError as error:
        raise UserError('NumPy is not installed. Fix: bash scripts/setup.sh') from error
    check_numpy(numpy)
    prepare()
    try:
        import mxnet
    except (ImportError, OSError) as error:
        raise UserError(explain_import_error(error, installed_mxnet())) from error
    return mxnet


set_threads()
mx = Lazy('mxnet', load)
nd = Lazy('mxnet.nd', lambda: load().nd)
gluon = Lazy('mxnet.gluon', lambda: load().gluon)
autograd = Lazy('mxnet.autograd', lambda: load().autograd)
