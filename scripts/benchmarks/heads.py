"""What the second head of the ranking regulariser adds to a training step: `scripts/benchmark.py heads`.

A step is the whole one: preprocessing of uint8 pictures, network, --loss=softmax_ranking, backward, SGD with momentum,
and the centers. `vanilla` is softmax alone, without a second head; Taha et al. (WACV 2020) report about 2 % more
training time with one. Every measurement is a process of its own on all cores; the modes take turns, and the median of
the rounds is reported.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODES = ('vanilla', 'hard', 'semi_hard', 'center')


def add_args(parser):
    """Flags of the head benchmark."""
    parser.add_argument('--modes', default=','.join(MODES), help='values of --train_mode; vanilla always takes part')
    parser.add_argument('--backbone', default='resnet50_v2')
    parser.add_argument('--batch_size', type=int, default=32)
    parser.add_argument('--num_instances', type=int, default=4, help='images of a class')
    parser.add_argument('--image_size', type=int, default=224)
    parser.add_argument('--embed_dim', type=int, default=256)
    parser.add_argument('--classes', type=int, default=200)
    parser.add_argument('--steps', type=int, default=8, help='timed steps of one measurement')
    parser.add_argument('--warmup', type=int, default=2, help='steps before them')
    parser.add_argument('--rounds', type=int, default=3, help='measurements of each mode')


def run(args):
    """Measure, print a table, return {mode: ms a step}. Raises UserError for an unknown mode."""
    from core.errors import UserError
    chosen = args.modes.split(',')
    unknown = sorted(set(chosen) - set(MODES))
    if unknown:
        raise UserError('--modes={} is unknown. Legal values: {}'.format(','.join(unknown), ', '.join(MODES)))
    modes = [mode for mode in MODES if mode == 'vanilla' or mode in chosen]
    results = {mode: [] for mode in modes}
    for _ in range(args.rounds):
        for mode in modes:
            results[mode].append(child(args, mode))
    ms = {mode: statistics.median(1000 * statistics.median(r['seconds']) for r in found)
          for mode, found in results.items()}
    print(f'{args.backbone}, {args.batch_size} pictures of {args.image_size} px')
    print('{:<12}{:>12}{:>12}{:>18}'.format('train_mode', 'ms a step', 'overhead', 'parameters'))
    for mode in modes:
        print('{:<12}{:>12.1f}{:>12}{:>18,}'.format(
            mode, ms[mode], '' if mode == 'vanilla' else '{:+.1%}'.format(ms[mode] / ms['vanilla'] - 1),
            results[mode][0]['parameters']))
    return ms


def child(args, mode):
    """The result of one measurement: seconds of each step, number of trained parameters."""
    spec = {'mode': mode, **{key: getattr(args, key) for key in (
        'backbone', 'batch_size', 'num_instances', 'image_size', 'embed_dim', 'classes', 'steps', 'warmup')}}
    done = subprocess.run([sys.executable, '-m', 'scripts.benchmarks.heads', json.dumps(spec)], cwd=ROOT, text=True,
                          check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.splitlines()[-1])


def measure(spec):
    """Train in this process and print the result as one line of JSON."""
    import numpy as np

    import models
    from core.contracts import Batch
    from core.runtime import autograd, gluon, nd
    from losses import get_loss
    spec = argparse.Namespace(**spec)
    parser = argparse.ArgumentParser()
    models.add_args(parser)
    args = parser.parse_args(['--backbone=' + spec.backbone, f'--embed_dim={spec.embed_dim}'])
    args.image_size = spec.image_size
    criterion = get_loss('softmax_ranking')(spec.classes, spec.embed_dim, spec.mode)
    net = models.from_args(args, criterion)
    criterion.initialize()
    criterion.hybridize(static_alloc=True)
    rng, n, size = np.random.RandomState(0), spec.batch_size, spec.image_size
    image = rng.randint(0, 256, (n, size, size, 3)).astype('uint8')
    label = nd.array(np.arange(n) // spec.num_instances % spec.classes, dtype='int32')
    params = gluon.ParameterDict()
    params.update(net.collect_params())
    params.update(criterion.collect_params())
    trainer = gluon.Trainer(params, 'sgd', {'learning_rate': 1e-3, 'momentum': 0.9}, kvstore=None)
    seconds = []
    for _ in range(spec.warmup + spec.steps):
        started = time.perf_counter()
        with autograd.record():
            loss = criterion(net(nd.array(image, dtype='uint8')), Batch(None, label, None, None))
        loss.backward()
        trainer.step(criterion.step_size(n), ignore_stale_grad=True)
        criterion.after_step()
        nd.waitall()
        seconds.append(time.perf_counter() - started)
    count = sum(int(np.prod(p.shape)) for p in params.values() if p.grad_req != 'null')
    print(json.dumps({'seconds': seconds[spec.warmup:], 'parameters': count}))


if __name__ == '__main__':
    measure(json.loads(sys.argv[1]))
