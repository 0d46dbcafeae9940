"""Workers joined by the parameter server on the loopback interface."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

from core.errors import UserError
from engine import workers

ROOT = pathlib.Path(__file__).resolve().parents[2]

LAUNCH = """
import argparse, sys
from commands import launch
parser = argparse.ArgumentParser()
launch.add_args(parser)
real = launch.Process
launch.Process = lambda name, words, *rest: real(name, ['-c', CODE] if name.startswith('worker') else words, *rest)
sys.exit(launch.run(parser.parse_args(['--workers=WORKERS', '--', 'code'])))
"""


def launched(code, count):
    """(exit status, output) of `code` in `count` workers."""
    program = LAUNCH.replace('CODE', repr(textwrap.dedent(code))).replace('WORKERS', str(count))
    done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True, timeout=120,
                          env=dict(os.environ, OMP_NUM_THREADS='1'))
    return done.returncode, done.stdout + done.stderr


def test_shares_are_gathered_exactly_and_gradients_are_summed():
    status, output = launched("""
        import numpy as np
        from core.runtime import autograd, mx, nd
        from engine.workers import connect
        workers, n = connect('dist_sync'), 7
        full = np.random.RandomState(0).randn(n, 3).astype(np.float32)
        own = nd.array(full[workers.share(n)])
        own.attach_grad()
        for _ in range(2):
            with autograd.record():
                x = workers.gather('embedding', own * 2, n)
                loss = (x * x * x).sum()
            loss.backward()
            assert np.array_equal(x.asnumpy(), 2 * full)
            np.testing.assert_allclose(own.grad.asnumpy(), (24 * full ** 2)[workers.share(n)], rtol=1e-6)
        parameter = mx.gluon.Parameter('p', shape=(2,))
        parameter.initialize()
        with autograd.record():
            loss = (parameter.data() * (workers.rank + 1)).sum()
        loss.backward()
        workers.sum([parameter])
        assert parameter.grad().asnumpy().tolist() == [6.0, 6.0]
        assert workers.broadcast('b', np.full((2, 2), workers.rank + 5.0)).tolist() == [[5, 5], [5, 5]]
        print('share', workers.rank, workers.share(n))
        """, 3)
    assert status == 0, output
    for rank, (start, stop) in enumerate(((0, 3), (3, 5), (5, 7))):
        assert f'share {rank} slice({start}, {stop}, None)' in output


def test_a_killed_worker_ends_the_run_with_a_message():
    status, output = launched("""
        import os, signal
        from core.runtime import nd
        from engine.workers import connect
        workers = connect('dist_sync')
        workers.barrier()
        if workers.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        workers.barrier()
        """, 2)
    assert status == 128 + 9
    assert 'was ended by signal 9; the others are ended' in output and '--resume=RUN' in output


def test_one_process_exchanges_nothing():
    alone = workers.connect('device')
    assert alone.share(5) == slice(0, 5) and alone.gather('x', 'as it is', 5) == 'as it is'
    with pytest.raises(UserError, match='launch --workers=2'):
        workers.connect('dist_sync')
