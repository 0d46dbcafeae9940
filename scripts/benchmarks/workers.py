"""Steps a second and bytes exchanged of a distributed training on this machine: `scripts/benchmark.py workers`.

Every measurement is a `main.py launch` of its own with HPHN and expansion on the built-in letters. The workers share
the cores of one machine: the figures show what the exchange costs, not a speed-up.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from core.runtime import chosen_threads, usable_processors

ROOT = pathlib.Path(__file__).resolve().parents[2]


def add_args(parser):
    """Flags of the workers benchmark."""
    parser.add_argument('--counts', default='1,2,4', help='numbers of workers')
    parser.add_argument('--backbone', default='googlenet')
    parser.add_argument('--image_size', type=int, default=224)
    parser.add_argument('--batch_size', type=int, default=32, help='images of all workers together')
    parser.add_argument('--steps', type=int, default=6, help='steps; the first two are not timed')


def run(args):
    """Measure, print the table, return {workers: (steps a second, megabytes a step)}."""
    threads = chosen_threads() or f'{usable_processors()} / workers'
    print(f'{args.backbone}, {args.image_size} px, {args.batch_size} images a step, one server, {threads} threads each')
    print(f'{"workers":>7}{"steps/s":>10}{"MB a step":>11}')
    return {count: measure(args, count) for count in map(int, args.counts.split(','))}


def measure(args, count):
    """(steps a second, megabytes that a worker sends and receives in a step) of `count` workers."""
    with tempfile.TemporaryDirectory() as folder:
        words = ['--loss=hphn_triplet', '--kvstore=' + ('dist_sync' if count > 1 else 'none'),
                 f'--backbone={args.backbone}', '--pretrained=false', f'--image_size={args.image_size}',
                 f'--batch_size={args.batch_size}', '--num_instances=8', '--glyphs_instances=8', '--glyphs_classes=8',
                 f'--train_iters={args.steps}', '--epochs=1000', '--eval_epoch_term=1000', '--summary_step=1',
                 '--figures=false', '--data_name=glyphs', f'--data_dir={folder}/letters', f'--save_dir={folder}/run']
        launch = ['launch', f'--workers={count}', '--'] if count > 1 else []
        done = subprocess.run([sys.executable, 'main.py', *launch, *words], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode:
            sys.exit(f'{count} workers ended with status {done.returncode}:\n{done.stdout[-2000:]}')
        result = json.loads(pathlib.Path(folder, 'run', 'result.json').read_text())
        log = pathlib.Path(folder, 'run', 'log.jsonl').read_text().splitlines()
        seconds = [line['seconds'] for line in map(json.loads, log) if line['kind'] == 'step']
    speed = 1 / statistics.median(after - before for before, after in zip(seconds[1:], seconds[2:]))
    megabytes = result.get('bytes_exchanged', 0) / result['iterations'] / 1e6
    print(f'{count:>7}{speed:>10.3f}{megabytes:>11.1f}', flush=True)
    return speed, megabytes
