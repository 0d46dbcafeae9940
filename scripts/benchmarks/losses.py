"""Milliseconds of one step of every loss, beside pytorch-metric-learning: `scripts/benchmark.py losses`.

A step is what training does from the embeddings on: mining, forward, backward to the gradient of the embeddings (and of
the loss's own parameters and features, where it has any), and the loss's own state. The loss is hybridized.

Ours and theirs are two processes that stay alive and take turns, loss by loss, on the same embeddings and labels and on
all cores; reported is the median over the turns of the median step of a turn. Theirs is losses_pytorch.py: the
loss of pytorch-metric-learning, or plain PyTorch where the library has none. `same` says whether value and gradient
agree, so that both are known to compute the same thing.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
POOL = 4             # different batches that the steps go through
FEATURES = 2048      # of the two-head loss: ResNet-50's
CLASSES = 100        # of the losses with class weights or a boundary for each class

# What is measured of a loss, where it is not its defaults alone: {variant: flags}.
VARIANTS = {
    'heated_softmax': {'': '--l2_norm --alpha=16'},
    'hphn_triplet': {'n_inner_pts=2': '--n_inner_pts=2', 'n_inner_pts=0': '--n_inner_pts=0'},
    'softmax_ranking': {mode: '--train_mode=' + mode for mode in ('vanilla', 'hard', 'semi_hard', 'center')},
}


def add_args(parser):
    """Flags of the loss benchmark."""
    parser.add_argument('--losses', default='', help='names of losses, comma separated; empty: all')
    parser.add_argument('--batch_size', type=int, default=128)
    parser.add_argument('--num_instances', type=int, default=4, help='images of a class; npair always has two')
    parser.add_argument('--embed_dim', type=int, default=512)
    parser.add_argument('--steps', type=int, default=20, help='timed steps of one turn')
    parser.add_argument('--warmup', type=int, default=3, help='steps before them')
    parser.add_argument('--rounds', type=int, default=7, help='turns of each side')
    parser.add_argument('--threads', type=int, default=0, help='0: one for each core this process may use')
    parser.add_argument('--torch_python', default=sys.executable,
                        help='a Python with torch and pytorch-metric-learning')
    parser.add_argument('--ours_only', action='store_true', help='leave PyTorch out')


def run(args):
    """Measure, print the table, return {row: {'ours': ms, 'theirs': ms or None, 'same': bool or None}}.

    Raises UserError for an unknown loss.
    """
    import losses
    from core.errors import pick_name
    args.losses = [pick_name('--losses', name, losses.LOSSES) for name in args.losses.split(',') if name]
    args.losses = args.losses or sorted(losses.LOSSES)
    args.threads = args.threads or len(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        data = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), 'data.npz')
        spec = {'data': data, **{key: getattr(args, key) for key in (
            'losses', 'batch_size', 'num_instances', 'embed_dim', 'threads')}}
        ours = stack.enter_context(Side(sys.executable, 'losses', spec))
        theirs = None
        if not args.ours_only:
            if can_compare(args.torch_python):
                theirs = stack.enter_context(Side(args.torch_python, 'losses_pytorch', spec))
            else:
                print(f'PyTorch is left out: {args.torch_python} has no torch and pytorch_metric_learning. Fix: '
                      '--torch_python=PYTHON')
        print('batch {}, {} dimensions, {} threads; MXNet {}{}'.format(
            args.batch_size, args.embed_dim, args.threads, ours.hello['version'],
            ', ' + theirs.hello['version'] if theirs else ''))
        print('{:<30}{:>9}{:>11}{:>7}  {:<6}{}'.format('loss', 'ours ms', 'theirs ms', 'ratio', 'same', 'theirs is'))
        return {row: measure_row(args, row, ours, theirs) for row in ours.hello['rows']}


def can_compare(python):
    """Whether this Python has what the comparison needs."""
    words = [python, '-c', 'import torch, pytorch_metric_learning']
    try:
        return subprocess.run(words, capture_output=True).returncode == 0
    except OSError:
        return False


def measure_row(args, row, ours, theirs):
    """Let both sides take turns at one row and print its line."""
    sides = {'ours': ours}
    if theirs and row in theirs.hello['rows']:
        sides['theirs'] = theirs
    answers = {key: [] for key in sides}
    for _ in range(args.rounds):
        for key, side in sides.items():
            answers[key].append(side.ask({'row': row, 'steps': args.steps, 'warmup': args.warmup}))
    ms = {key: 1000 * statistics.median(statistics.median(a['seconds']) for a in found)
          for key, found in answers.items()}
    if 'theirs' not in sides:
        print('{:<30}{:>9.2f}{:>11}'.format(row, ms['ours'], '-'), flush=True)
        return {'ours': ms['ours'], 'theirs': None, 'same': None}
    first, other = answers['ours'][0], answers['theirs'][0]
    same = all(abs(first[key] - other[key]) <= 1e-3 * max(abs(first[key]), 1e-6) for key in ('value', 'gradient'))
    print('{:<30}{:>9.2f}{:>11.2f}{:>7.2f}  {:<6}{}'.format(
        row, ms['ours'], ms['theirs'], ms['ours'] / ms['theirs'], 'yes' if same else 'no',
        theirs.hello['rows'][row]), flush=True)
    return {**ms, 'same': same}


class Side:
    """A process that answers one line of JSON with another; `hello` is its first line."""

    def __init__(self, python, script, spec):
        self.process = subprocess.Popen(
            [python, '-m', 'scripts.benchmarks.' + script, json.dumps(spec)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ, OMP_NUM_THREADS=str(spec['threads'])))
        self.hello = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f'{self.process.args[2]} ended with status {self.process.wait()}')
        return json.loads(line)

    def ask(self, request):
        """The answer to a request."""
        self.process.stdin.write(json.dumps(request) + '\n')
        self.process.stdin.flush()
        return self.read()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.process.wait()


# ---- our side: what follows runs in a process of its own

def rows(names):
    """{row: (loss, flags)} of the losses `names`, in their order."""
    found = {}
    for name in names:
        for variant, flags in VARIANTS.get(name, {'': ''}).items():
            found[name + (' ' + variant if variant else '')] = (name, flags)
    return found


def make_data(spec):
    """Batches of both sides: dict of arrays.

    embedding (POOL, B, D) of length one about class centers, such that the hardest negatives overlap with the
    positives; feature (POOL, B, F); label (B,); pair_label (B,), anchors then positives; triplets (POOL, 3, T); weight
    (C, D), feature_weight (C, F), centers (C, D).
    """
    import numpy as np

    from losses import mining
    rng, size, dim = np.random.RandomState(0), spec['batch_size'], spec['embed_dim']
    label = np.arange(size) // spec['num_instances']
    center = rng.randn(CLASSES, dim)
    embedding = center[label] + 2 * rng.randn(POOL, size, dim)
    embedding = (embedding / np.linalg.norm(embedding, axis=2, keepdims=True)).astype(np.float32)
    return {'embedding': embedding, 'label': label, 'pair_label': np.tile(np.arange(size // 2), 2),
            'feature': rng.rand(POOL, size, FEATURES).astype(np.float32),
            'triplets': np.stack([mining.build_triplets(x, label, 5) for x in embedding]),
            'weight': rng.randn(CLASSES, dim).astype(np.float32) / dim ** 0.5,
            'feature_weight': rng.randn(CLASSES, FEATURES).astype(np.float32) / FEATURES ** 0.5,
            'centers': (center / np.linalg.norm(center, axis=1, keepdims=True)).astype(np.float32)}


class Ours:
    """One row: the criterion and its batches on the device."""

    def __init__(self, name, flags, data, spec):
        import recipes
        from core.contracts import Batch, Out
        from core.runtime import nd
        from losses import get_loss
        cls = get_loss(name)
        parser = argparse.ArgumentParser(conflict_handler='resolve')
        for key in ('batch_size', 'num_instances', 'embed_dim'):
            parser.add_argument('--' + key, default=spec[key])
        parser.add_argument('--epochs', default=60)
        cls.add_args(parser)
        settings = recipes.defaults(name)
        parser.set_defaults(**{key: settings[key] for key in ('margin', 'ee_l2norm') if key in settings})
        self.criterion = cls.from_args(parser.parse_args(flags.split()), CLASSES)
        self.criterion.initialize()
        self.criterion.hybridize(static_alloc=True)
        label = nd.array(data['pair_label' if cls.sampler == 'pairs' else 'label'], dtype='int32')
        self.calls = []
        for x, feature, triplets in zip(data['embedding'], data['feature'], data['triplets']):
            x, feature = nd.array(x), nd.array(feature)
            x.attach_grad()
            feature.attach_grad()
            self.calls.append((Out(x, feature), Batch(None, label, None, triplets)))
        self.turn = 0
        self.step()
        self.fill(data)

    def fill(self, data):
        """The parameters that both sides start from."""
        from core.runtime import nd
        for key, param in self.criterion._collect_params_with_prefix().items():
            source = {'weight': 'weight', 'classifier.weight': 'feature_weight', 'centers': 'centers'}.get(key)
            if source:
                param.set_data(nd.array(data[source]))
        self.turn = 0

    def step(self):
        """(value of the loss, gradient of the embeddings)."""
        from core.runtime import autograd, nd
        out, batch = self.calls[self.turn % POOL]
        self.turn += 1
        with autograd.record():
            loss = self.criterion(out, batch)
        autograd.backward(loss)
        self.criterion.after_step()
        nd.waitall()
        return loss, out.embedding.grad


def serve(spec):
    """Answer requests until the parent closes the pipe."""
    import numpy as np

    from core.runtime import mx
    found, data, made = rows(spec['losses']), make_data(spec), {}
    np.savez(spec['data'], **data)
    mx.random.seed(0)
    print(json.dumps({'version': mx.__version__, 'rows': list(found)}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        row = request['row']
        fresh = row not in made
        if fresh:
            made.clear()
            made[row] = Ours(*found[row], data, spec)
        answer = {}
        if fresh:
            value, gradient = made[row].step()
            answer = {'value': float(value.sum().asscalar()), 'gradient': float(gradient.norm().asscalar())}
        seconds = []
        for _ in range(request['warmup'] + request['steps']):
            started = time.perf_counter()
            made[row].step()
            seconds.append(time.perf_counter() - started)
        print(json.dumps({'seconds': seconds[request['warmup']:], **answer}), flush=True)


if __name__ == '__main__':
    serve(json.loads(sys.argv[1]))
