"""Workers joined by the parameter server on the loopback interface."""

import argparse
import os
import pathlib
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from commands import launch
from core import runtime
from core.errors import UserError
from core.files import read_log
from core.runtime import nd
from engine import checkpoint, workers

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
        workers.sum('p', [parameter])
        assert parameter.grad().asnumpy().tolist() == [6.0, 6.0]
        assert workers.broadcast('b', np.full((2, 2), workers.rank + 5.0)).tolist() == [[5, 5], [5, 5]]
        print('share', workers.rank, workers.share(n))
        """, 3)
    assert status == 0, output
    for rank, (start, stop) in enumerate(((0, 3), (3, 5), (5, 7))):
        assert f'share {rank} slice({start}, {stop}, None)' in output


RUNS = {'hphn': '--loss=hphn_triplet --n_inner_pts=2 --num_instances=4', 'margin': '--loss=margin --num_instances=4',
        'heated': '--loss=heated_softmax --l2_norm', 'sst': '--loss=sst --lr_schedule=constant --early_stopping=0'}
CHUNKS = {'chunks': '--loss=margin --num_instances=4 --grad_chunk=5'}    # fits no share of 12 or 8
BATCH = 24

TRAIN = """
import main
from commands import train
from engine import workers
joined = workers.connect('dist_sync' if DISTRIBUTED else 'device')
train.connect = lambda kvstore: joined
for name, words in RUNS.items():
    assert main.main(['--data_name=glyphs', '--data_dir=DATA', '--glyphs_classes=8', '--glyphs_instances=12',
                      '--batch_size=24', '--freeze_bn', '--epochs=9', '--train_iters=10', '--eval_epoch_term=99',
                      '--optim=sgd', '--lr=1e-3', '--train_stats=0', '--figures=0', '--num_workers=0', '--seed=3',
                      '--grad_chunk=CHUNK', '--save_dir=FOLDER/' + name, *words.split()]) == 0
"""


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
    """Function: images at a time -> folder of runs of one process."""
    folder = tmp_path_factory.mktemp('alone')

    def run(chunk):
        target = folder / str(chunk)
        if not target.exists():
            subprocess.run([sys.executable, '-c', train_code(target, folder, False, chunk)], cwd=ROOT, check=True,
                           stdout=subprocess.DEVNULL, env=dict(os.environ, OMP_NUM_THREADS='1'))
        return target
    run.data = folder
    return run


def train_code(folder, data, distributed, chunk=0):
    runs = {**RUNS, **CHUNKS} if distributed else RUNS
    return (TRAIN.replace('DISTRIBUTED', str(distributed)).replace('CHUNK', str(chunk)).replace('RUNS', repr(runs))
            .replace('DATA', str(data / 'letters')).replace('FOLDER', str(folder)))


def parameters(run):
    """{name: array} of the last checkpoint of a run: network, criterion and optimizers."""
    folder = checkpoint.locate(str(run))
    return {f'{file.stem}/{name}': array.asnumpy() for file in sorted(folder.glob('*.params'))
            for name, array in nd.load(str(file)).items() if array.dtype == np.float32}


@pytest.mark.parametrize('count', (2, 3))
def test_ten_steps_of_several_workers_are_those_of_one_process(alone, tmp_path, count):
    """One process that runs the network on as many images at a time as a worker does has the same bits: no tie between
    pairs is decided otherwise. On the whole batch at once a convolution rounds otherwise, and HPHN's ties with it."""
    status, output = launched(train_code(tmp_path, alone.data, distributed=True), count)
    assert status == 0, output
    for run in RUNS:
        assert_close(tmp_path / run, alone(BATCH // count) / run, rtol=1e-5, atol=1e-7)
        if run != 'hphn':
            assert_close(tmp_path / run, alone(0) / run, rtol=1e-3, atol=2e-5)
    assert_close(tmp_path / 'chunks', alone(0) / 'margin', rtol=1e-3, atol=2e-5)


def assert_close(several, one, **tolerance):
    several, one = parameters(several), parameters(one)
    assert set(several) == set(one)
    for name, array in one.items():
        np.testing.assert_allclose(several[name], array, err_msg=name, **tolerance)


@pytest.mark.parametrize('chosen, each', (('', '2'), ('3', '3')))
def test_workers_of_one_machine_share_its_processors(monkeypatch, chosen, each):
    """Unless the user says how many threads; that importing the suite sets the variable is not the user's word."""
    started = []
    monkeypatch.setattr(launch, 'Process', lambda name, words, variables, *rest: started.append(variables))
    monkeypatch.setattr(launch, 'usable_processors', lambda: 4)
    monkeypatch.delenv('OMP_NUM_THREADS')
    if chosen:
        monkeypatch.setenv('OMP_NUM_THREADS', chosen)
    runtime.set_threads()
    parser = argparse.ArgumentParser()
    launch.add_args(parser)
    launch.start(parser.parse_args(['--workers=2']), ['--kvstore=dist_sync'])
    assert [variables['OMP_NUM_THREADS'] for variables in started] == [each] * 4


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
    assert 'was ended by signal 9; the others are ended. No checkpoint had been written yet.' in output


@pytest.mark.skipif(not launch.TIED, reason='setpriv of util-linux is not installed')
def test_a_killed_launcher_leaves_no_process(tmp_path):
    started = subprocess.Popen(
        [sys.executable, 'main.py', 'launch', '--workers=2', '--', *WHOLE, '--epochs=100000',
         f'--data_dir={tmp_path}/letters', f'--save_dir={tmp_path}/run'], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, OMP_NUM_THREADS='1'))
    for line in started.stdout:
        if 'run folder' in line:
            break
    children = list(map(int, pathlib.Path(f'/proc/{started.pid}/task/{started.pid}/children').read_text().split()))
    assert len(children) == 4      # scheduler, server, two workers
    started.kill()
    started.wait()
    until = time.monotonic() + 20
    while any(map(alive, children)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(alive, children))


def alive(process):
    """Whether a process runs still; one that has ended may wait for somebody to ask how."""
    try:
        return pathlib.Path(f'/proc/{process}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


RESUME = """
import os, pathlib, signal, sys, time
import main
from commands import train
from engine import checkpoint, trainer
step, write, connect, joined = trainer.Trainer.step, checkpoint.write, train.connect, []

def stopping(self, batch, lr):
    if self.workers.rank == 1 and self.state['iteration'] == LAST:
        os.kill(HIT, signal.SIGNAL)
        time.sleep(1)    # until the launcher has handed it on
    return step(self, batch, lr)

def noted(*args):
    pathlib.Path('FOLDER', 'writers').open('a').write(str(joined[0].rank))
    return write(*args)

trainer.Trainer.step, checkpoint.write = stopping, noted
train.connect = lambda kvstore: joined.append(connect(kvstore)) or joined[0]
sys.exit(main.main(WORDS))
"""
WHOLE = ['--kvstore=dist_sync', '--loss=margin', '--num_instances=4', '--data_name=glyphs', '--glyphs_classes=8',
         '--glyphs_instances=12', '--batch_size=24', '--epochs=4', '--eval_epoch_term=2', '--lr=1e-3', '--optim=adam',
         '--train_stats=0', '--figures=0', '--num_workers=0', '--seed=3', '--summary_step=1', '--lr_schedule=plateau']


@pytest.mark.parametrize('count, gathered', ((2, 3), (3, 1)))
def test_a_run_that_was_killed_and_interrupted_ends_where_it_should(tmp_path, count, gathered):
    """Bit for bit, also where each worker had gathered gradients of its own; the first worker alone writes."""
    def run(words, last=-1, hit='os.getpid()', signal='SIGKILL'):
        return launched(RESUME.replace('WORDS', repr(words)).replace('LAST', str(last)).replace('HIT', hit)
                        .replace('SIGNAL', signal).replace('FOLDER', str(tmp_path)), count)
    words = [*WHOLE, f'--data_dir={tmp_path}/letters', f'--caffe_iter_size={gathered}']
    status, output = run([*words, f'--save_dir={tmp_path}/whole'])
    assert status == 0, output
    ends = [line['step'] for line in read_log(tmp_path / 'whole/log.jsonl') if line['kind'] == 'epoch']
    assert gathered == 1 or ends[1] % gathered and (ends[2] + 1) % gathered      # what is resumed is half gathered
    status, output = run([*words, f'--save_dir={tmp_path}/parts'], last=ends[1] + 1)            # in the third epoch
    resume = f'--resume={tmp_path}/parts'
    assert status == 128 + 9 and f'launch --workers={count} --servers=1 -- {resume}' in output, output
    status, output = run([resume], last=ends[2], hit='os.getppid()', signal='SIGTERM')    # to the launcher, in the 4th
    assert status == 128 + 15 and f'launch --workers={count} -- {resume}' in output, output
    assert f'at epoch 2, iteration {ends[1]}' in output
    status, output = run([resume])
    assert status == 0 and f'at epoch 3, iteration {ends[2] + 1}' in output, output
    assert set((tmp_path / 'writers').read_text()) == {'0'}
    whole, parts = (parameters(tmp_path / name) for name in ('whole', 'parts'))
    assert whole.keys() == parts.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(parts[name], array, err_msg=name)
    logs = [[{key: value for key, value in line.items() if key not in ('seconds', 'images_per_second')}
             for line in read_log(tmp_path / name / 'log.jsonl')] for name in ('whole', 'parts')]
    assert logs[0] == logs[1] and sum(line['kind'] == 'step' for line in logs[0]) == ends[3]


def test_one_process_exchanges_nothing(monkeypatch):
    alone = workers.connect('device')
    assert alone.share(5) == slice(0, 5) and alone.gather('x', 'as it is', 5) == 'as it is'
    with pytest.raises(UserError, match='launch --workers=2'):
        workers.connect('dist_sync')
    monkeypatch.setenv('DMLC_ROLE', 'worker')
    with pytest.raises(UserError, match='--kvstore=device lets each worker .*--kvstore=dist_sync'):
        workers.connect('device')
