"""One GPU, checked against the CPU and measured: what `bash scripts/gpu_check.sh` prints as a table to paste.

It runs the recorded vectors of the authors (where a folder of them is named), one step of every loss on the GPU and on
the CPU, trainings and an evaluation with their throughput, and a recipe for two minutes. With --gpu_idx=cpu everything
runs with the CPU in the GPU's place, which is how the check itself is tested.
"""

from __future__ import annotations

import ctypes
import json
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEWEST_COMPILED = (8, 6)      # compute capability up to which the wheels of mxnet-cu112 hold compiled kernels
ALLOWED = 1e-3                # of the largest entry: what a loss's value or gradient may differ between GPU and CPU


def add_args(parser):
    """Flags of the GPU check."""
    parser.add_argument('--gpu_idx', default='0', help='number of the GPU; cpu: the CPU in its place')
    parser.add_argument('--vectors', default='', metavar='DIR', help='folder of recorded vectors; empty: left out')
    parser.add_argument('--networks', default='googlenet:227:128,resnet50_v2:224:64',
                        help='trainings to measure, NAME:PIXELS:BATCH, comma separated')
    parser.add_argument('--iterations', type=int, default=30, help='of each training')
    parser.add_argument('--items', type=int, default=20000, help='embeddings of the evaluation')
    parser.add_argument('--recipe_seconds', type=int, default=120, help='how long the recipe runs; 0: not at all')


def run(args):
    """Print each check as it ends, then the table; returns the rows."""
    from core.device import contexts
    ctx = contexts(args.gpu_idx)[0]
    rows = []

    def note(check, result):
        rows.append((check, result))
        print(f'{check}: {result}', flush=True)
    for check, result in card(args.gpu_idx) + libraries():
        note(check, result)
    if args.vectors:
        note('recorded vectors', vectors(args))
    worst = {name: difference(name, flags, ctx) for name, flags in loss_rows().items()}
    wrong = [f'{name} {value:.1e}' for name, value in worst.items() if not value <= ALLOWED]
    note(f'{len(worst)} losses, one step against the CPU', 'DIFFER: ' + ', '.join(wrong) if wrong else
         f'equal within {max(worst.values()):.1e} of the largest entry')
    for text in args.networks.split(','):
        network, pixels, batch = text.split(':')
        note(f'training, {network}, {pixels} px, batch {batch}', training(args, network, pixels, batch))
    note(f'evaluation, {args.items:,} x 512', evaluation(ctx, args.items))
    if args.recipe_seconds:
        note(f'scripts/quickstart.sh for {args.recipe_seconds} s', recipe(args))
    print('\n| check | result |\n| --- | --- |')
    for check, result in rows:
        print(f'| {check} | {result} |')
    return rows


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
        found.append(('note', 'newer than the compiled kernels (8.6): the first call compiles for minutes. Where '
                      'autotuning hangs: MXNET_CUDNN_AUTOTUNE_DEFAULT=0. Where nothing runs: --gpu_idx=cpu, or '
                      'export --format=onnx and --engine=onnxruntime'))
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
    return (done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]])[-1]


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
                          capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ['no message'])[-1])
    return done.stdout.splitlines()


def training(args, network, pixels, batch):
    """Images a second of HPHN with expansion on the built-in letters, the first third of the iterations left out."""
    with tempfile.TemporaryDirectory() as folder:
        run_folder = pathlib.Path(folder, 'run')
        try:
            command(args, '--loss=hphn_triplet', f'--backbone={network}', '--pretrained=false',
                    f'--image_size={pixels}', f'--batch_size={batch}', '--num_instances=8', '--glyphs_instances=24',
                    f'--train_iters={args.iterations}', '--epochs=1000', '--eval_epoch_term=1000', '--summary_step=1',
                    '--figures=false', f'--save_dir={run_folder}')
        except RuntimeError as error:
            return f'FAILED: {error}'
        steps = [json.loads(line) for line in (run_folder / 'log.jsonl').read_text().splitlines()]
        steps = [line for line in steps if line['kind'] == 'step']
    first, last = steps[len(steps) // 3], steps[-1]
    return f'{(last["step"] - first["step"]) * int(batch) / (last["seconds"] - first["seconds"]):.0f} images/s'


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
        process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            output, _ = process.communicate(timeout=args.recipe_seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            output, _ = process.communicate()
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith(('epoch', 'R@'))]
    return (told or lines or ['nothing was printed'])[-1].split(' -> ')[0]
