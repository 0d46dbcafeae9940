"""What happens before MXNet is imported."""

import subprocess
import sys
import types

import pytest

from core import runtime, startup
from core.errors import UserError, pick


def test_processors_follow_affinity_and_the_cgroup_quota(tmp_path):
    assert runtime.usable_processors(tmp_path, affinity={0, 1, 2}) == 3
    (tmp_path / 'cpu.max').write_text('150000 100000\n')
    assert runtime.usable_processors(tmp_path, affinity=set(range(8))) == 2
    (tmp_path / 'cpu.max').write_text('max 100000\n')
    assert runtime.usable_processors(tmp_path, affinity=set(range(8))) == 8


def test_processors_read_the_first_version_of_cgroups(tmp_path):
    (tmp_path / 'cpu').mkdir()
    (tmp_path / 'cpu/cpu.cfs_quota_us').write_text('400000')
    (tmp_path / 'cpu/cpu.cfs_period_us').write_text('100000')
    assert runtime.usable_processors(tmp_path, affinity=set(range(8))) == 4


def test_threads_set_by_the_user_win():
    environ = {'OMP_NUM_THREADS': '7'}
    runtime.set_threads(environ)
    assert environ['OMP_NUM_THREADS'] == '7'
    environ = {}
    runtime.set_threads(environ)
    assert int(environ['OMP_NUM_THREADS']) == runtime.usable_processors()


def test_numpy_2_is_refused_and_aliases_come_back():
    with pytest.raises(UserError, match='NumPy 2.1.0.*numpy<2'):
        runtime.check_numpy(types.SimpleNamespace(__version__='2.1.0'))
    numpy = types.SimpleNamespace(__version__='1.26.4')
    startup.restore_numpy_aliases(numpy)
    assert (numpy.bool, numpy.int, numpy.float, numpy.object) == (bool, int, float, object)


@pytest.mark.parametrize('error, distribution, words', [
    ('No module named mxnet', None, 'MXNet is not installed'),
    ('libcuda.so.1: cannot open shared object file', 'mxnet-cu112', 'no NVIDIA driver'),
    ('libquadmath.so.0: cannot open shared object file', 'mxnet', 'libquadmath.so.0'),
    ('something else', 'mxnet', 'something else'),
])
def test_import_errors_are_explained(error, distribution, words):
    assert words in runtime.explain_import_error(OSError(error), distribution)


def test_unknown_names_list_close_and_legal_ones():
    with pytest.raises(UserError, match='--loss=marginn is unknown. Did you mean margin.*Legal values: margin, npair'):
        pick('--loss', 'marginn', {'margin': 1, 'npair': 2})
    assert pick('--loss', 'HPHN-Triplet', {'hphn_triplet': 3}) == 3


def test_mxnet_can_be_imported_in_an_environment_that_starts_with_the_hook():
    """As the .pth file of scripts/setup.sh does it; without it, NumPy 1.24 and later lack np.bool."""
    code = ('import sys; import core.startup as s; s.install(); s.install(); assert "numpy" not in sys.modules; '
            'import mxnet; print(mxnet.nd.ones(2).sum().asscalar(), s.Finder in sys.meta_path)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout == '2.0 False\n', done.stderr
