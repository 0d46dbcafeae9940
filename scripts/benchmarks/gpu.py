"""One GPU, checked against the CPU and measured: what `bash scripts/gpu_check.sh` prints as a table to paste.

It runs a convolution first, then the recorded vectors of the authors (where they are found), one step of every loss on
the GPU and on the CPU, trainings in float32 and float16 and an evaluation with their throughput, and a recipe for two
minutes. A check that fails has its line in the table, and the others go on. With --gpu_idx=cpu everything runs with the
CPU in the GPU's place, which is how the check itself is tested.
"""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEWEST_COMPILED = (8, 6)      # compute capability up to which the wheels of mxnet-cu112 hold compiled kernels
PATIENCE = 1800               # seconds that one training, or the first call on a card, may take
NOTHING_RUNS = ('mxnet-cu112 has kernels up to compute capability 8.6 (V100, T4, A100, A10, RTX 20 and RTX 30 series), '
                'which the driver compiles for newer cards where it can. Here nothing runs: train on the CPU '
                '(--gpu_idx=cpu) or on such a card, and embed on this one with an exported file (export --format=onnx, '
                'then --engine=onnxruntime with the package onnxruntime-gpu)')
ALLOWED = 1e-3                # of the largest entry: what a loss's value or gradient may differ between GPU and CPU
CONVOLUTION = """
import sys
from core.device import contexts
from core.runtime import autograd, nd
device = contexts(sys.argv[1])[0]
x, weight = nd.ones((8, 3, 32, 32), ctx=device), nd.ones((4, 3, 3, 3), ctx=device)
weight.attach_grad()
with autograd.record():
    y = nd.Convolution(x, weight, kernel=(3, 3), num_filter=4, no_bias=True).sum()
y.backward()
assert weight.grad.asnumpy().min() == 8 * 30 * 30, 'the gradient of a convolution is wrong'
"""


def add_args(parser):
    """Flags of the GPU check."""
    parser.add_argument('--gpu_idx', default='0', help='number of the GPU; cpu: the CPU in its place')
    parser.add_argument('--vectors', default=str(recorded()), metavar='DIR',
                        help='folder of recorded vectors of the authors; without one they are left out')
    parser.add_argument('--networks', default='googlenet:227:128,resnet50_v2:224:64',
                        help='trainings to measure, NAME:PIXELS:BATCH, comma separated')
    parser.add_argument('--iterations', type=int, default=30, help='of each training')
    parser.add_argument('--items', type=int, default=20000, help='embeddings of the evaluation')
    parser.add_argument('--recipe_seconds', type=int, default=120, help='how long the recipe runs; 0: not at all')


def run(args):
    """Print each check as it ends, then the table; returns the rows."""
    from core.device import contexts
    rows = []

    def note(check, result):
        rows.append((check, result))
        print(f'{check}: {result}', flush=True)

    def attempt(check, function, *given):
        print(f'... {check}', flush=True)
        try:
            note(check, function(*given))
        except Exception as error:    # whatever a card or a driver makes of it: the next check may say more
            note(check, 'FAILED: ' + ((str(error).strip().splitlines() or [type(error).__name__])[-1])[:300])
    for check, result in card(args.gpu_idx) + libraries():
        note(check, result)
    ctx = contexts(args.gpu_idx)[0]
    attempt('first convolution', first_call, args)
    if rows[-1][1].startswith('FAILED'):
        note('what now', NOTHING_RUNS)
        return table(rows)
    if args.vectors:
        attempt('recorded vectors', vectors, args)
    attempt('losses, one step against the CPU', all_losses, ctx)
    for text in args.networks.split(','):
        network, pixels, batch = text.split(':')
        attempt(f'training, {network}, {pixels} px, batch {batch}', both_types, args, network, pixels, batch)
    attempt(f'evaluation, {args.items:,} x 512', evaluation, ctx, args.items)
    if args.recipe_seconds:
        attempt(f'scripts/quickstart.sh for {args.recipe_seconds} s', recipe, args)
    return table(rows)


def table(rows):
    """Print the rows as a table to paste; returns them."""
    print('\n| check | result |\n| --- | --- |')
    for check, result in rows:
        print(f'| {check} | {result} |')
    failed = [check for check, result in rows if result.startswith(('FAILED', 'DIFFER'))]
    print(f'\nnot as it should be: {", ".join(failed)}' if failed else '\neverything is as it should be', flush=True)
    return rows


def recorded():
    """The folder of recorded vectors beside the repository, or ''."""
    shared = pathlib.Path(os.environ.get('GLUON_DML_SHARED', ROOT / 'shared'), 'reference')
    return shared if shared.is_dir() else ''


def first_call(args):
    """Seconds until a small convolution and its gradient have been computed, in a process of their own."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, '-c', CONVOLUTION, args.gpu_idx], cwd=ROOT, capture_output=True, text=True,
                          timeout=PATIENCE)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f'ended with status {done.returncode}'])[-1])
    return f'{time.perf_counter() - started:.0f} s with the start of the process'


def all_losses(ctx):
    """Whether one step of every loss is on `ctx` what it is on the CPU."""
    worst = {name: difference(name, flags, ctx) for name, flags in loss_rows().items()}
    wrong = [f'{name} {value:.1e}' for name, value in worst.items() if not value <= ALLOWED]
    return 'DIFFER: ' + ', '.join(wrong) if wrong else \
        f'{len(worst)} equal within {max(worst.values()):.1e} of the largest entry'


def card(gpu_idx):
    """Card, driver and compute capability as the driver reports them."""
    if gpu_idx == 'cpu':
        return [('card', 'none: the CPU stands in its place')]
    try:
        answer = subprocess.run(['nvidia-smi', '--query-gpu=name,driver_version,compute_cap,memory.total',
                                 '--format=csv,noheader', f'--id={gpu_idx}'], capture_output=True, text=True,
                                check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return [('card', f'nvidia-smi gave no answer ({error})')]
    name, driver, capability, memory = [part.strip() for part in answer.stdout.strip().split(',')]
    found = [('card', f'{name}, {memory}'), ('driver', driver), ('compute capability', capability)]
    if tuple(int(part) for part in capability.split('.')) > NEWEST_COMPILED:
        os.environ.setdefault('MXNET_CUDNN_AUTOTUNE_DEFAULT', '0')    # of this process and those that it starts
        found.append(('note', 'newer than the compiled kernels (8.6): the first call compiles for minutes, once. '
                      'cuDNN does not try out its algorithms here, which can hang (MXNET_CUDNN_AUTOTUNE_DEFAULT='
                      f'{os.environ["MXNET_CUDNN_AUTOTUNE_DEFAULT"]})'))
    return found


def libraries():
    """CUDA and cuDNN as they are loaded, and MXNet."""
    from core.runtime import installed_mxnet, mx
    found = [('MXNet', f'{installed_mxnet()} {mx.__version__}')]
    for title, name, function, by_pointer in (('CUDA runtime', 'libcudart.so.11.0', 'cudaRuntimeGetVersion', True),
                                              ('cuDNN', 'libcudnn.so.8', 'cudnnGetVersion', False)):
        try:
            call = getattr(ctypes.CDLL(name), function)
        except OSError:
            found.append((title, 'not loaded'))
            continue
        if by_pointer:
            number = ctypes.c_int()
            call(ctypes.byref(number))
            found.append((title, f'{number.value // 1000}.{number.value % 1000 // 10}'))
        else:
            call.restype = ctypes.c_size_t
            number = call()
            found.append((title, f'{number // 1000}.{number % 1000 // 100}.{number % 100}'))
    return found


def vectors(args):
    """The closing line of tests.reference."""
    done = subprocess.run([sys.executable, '-m', 'tests.reference', args.vectors, f'--gpu_idx={args.gpu_idx}'],
                          cwd=ROOT, capture_output=True, text=True)
    closing = (done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]])[-1]
    return f'DIFFER: {closing}' if done.returncode else closing


def loss_rows():
    """{row: (loss, flags)} of the loss benchmark, all losses."""
    import losses
    from scripts.benchmarks.losses import rows
    return rows(sorted(losses.LOSSES))


def difference(name, row, ctx):
    """Largest difference of value and gradient between one step on `ctx` and on the CPU, as a share of the largest."""
    import numpy as np

    from core.runtime import mx
    from scripts.benchmarks.losses import Ours, make_data
    spec = {'batch_size': 64, 'num_instances': 4, 'embed_dim': 128}
    data, found = make_data(spec), []
    for device in (mx.cpu(), ctx):
        with device:
            mx.random.seed(0)
            np.random.seed(0)
            side = Ours(*row, data, spec)
            side.fill(data)
            np.random.seed(0)
            found.append([array.asnumpy() for array in side.step()])
    return max(float(np.abs(one - other).max() / max(np.abs(one).max(), 1e-12)) for one, other in zip(*found))


def command(args, *words):
    """Run main.py; its output as lines. RuntimeError with its last line when it fails."""
    done = subprocess.run([sys.executable, 'main.py', *words, f'--gpu_idx={args.gpu_idx}'], cwd=ROOT,
                          capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ['no message'])[-1])
    return done.stdout.splitlines()


def both_types(args, network, pixels, batch):
    """What a training does in float32 and, on a GPU, with the trunk in float16 and a loss scale."""
    single = training(args, network, pixels, batch, 'float32')
    if args.gpu_idx == 'cpu':
        return f'{single:.0f} images/s; float16 needs a GPU'
    half = training(args, network, pixels, batch, 'float16')
    return f'{single:.0f} images/s; --dtype=float16 {half:.0f}: {"faster" if half > single else "not faster"}, ' \
        f'{half / single:.2f}x'


def training(args, network, pixels, batch, dtype):
    """Images a second of HPHN with expansion on the built-in letters, the first third of the iterations left out."""
    with tempfile.TemporaryDirectory() as folder:
        run_folder = pathlib.Path(folder, 'run')
        command(args, '--loss=hphn_triplet', f'--backbone={network}', '--pretrained=false', f'--dtype={dtype}',
                f'--image_size={pixels}', f'--batch_size={batch}', '--num_instances=8', '--glyphs_instances=24',
                f'--train_iters={args.iterations}', '--epochs=1000', '--eval_epoch_term=1000', '--summary_step=1',
                '--figures=false', f'--save_dir={run_folder}')
        steps = [json.loads(line) for line in (run_folder / 'log.jsonl').read_text().splitlines()]
        steps = [line for line in steps if line['kind'] == 'step']
    first, last = steps[len(steps) // 3], steps[-1]
    return (last['step'] - first['step']) * int(batch) / (last['seconds'] - first['seconds'])


def evaluation(ctx, items):
    """Seconds of the retrieval protocol on `ctx` and on the CPU, and whether the numbers are the same."""
    import numpy as np

    from core.runtime import mx
    from evaluation.protocols import retrieval
    rng = np.random.RandomState(0)
    labels = np.arange(items) % (items // 5)
    rows = (rng.randn(items // 5, 512)[labels] + 1.5 * rng.randn(items, 512)).astype(np.float32)
    seconds, results = [], []
    for device in (ctx, mx.cpu()):
        started = time.perf_counter()
        results.append(retrieval(rows, labels, [1, 10], ctx=device))
        seconds.append(time.perf_counter() - started)
    same = 'the same numbers' if results[0] == results[1] else f'DIFFERENT numbers: {results}'
    return f'{seconds[0]:.1f} s, on the CPU {seconds[1]:.1f} s; {same}'


def recipe(args):
    """The main job, ended by a signal after --recipe_seconds if it has not ended by then."""
    with tempfile.TemporaryDirectory() as folder:
        words = ['bash', 'scripts/quickstart.sh', f'--gpu_idx={args.gpu_idx}', f'--save_dir={folder}/run']
        process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   start_new_session=True)
        try:
            output, _ = process.communicate(timeout=args.recipe_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)    # the training too: it saves and ends
            output, _ = process.communicate()
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith(('epoch', 'R@'))]
    return told[-1].split(' -> ')[0] if told else f'no epoch ended; its last line: {(lines or ["none"])[-1]}'
