"""Measurements of the suite's costs, each beside what it is to be compared with.

    python3 scripts/benchmark.py losses --torch_python=PYTHON
    python3 scripts/benchmark.py NAME --help
"""

import argparse
import importlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from core.errors import UserError, pick_name  # noqa: E402
from core.files import write_json  # noqa: E402
from core.interpreter import enter_virtual_environment  # noqa: E402

# name -> (module, what it measures)
BENCHMARKS = {
    'losses': ('losses', 'milliseconds a step of every loss, beside pytorch-metric-learning'),
    'step': ('step', 'the share of the loss in a training step'),
    'gpu': ('gpu', 'a GPU checked against the CPU, and its throughput; scripts/gpu_check.sh calls it'),
    'chunks': ('chunks', 'memory of a training step with and without --grad_chunk'),
    'workers': ('workers', 'steps a second and bytes exchanged of several workers on this machine'),
    'heads': ('heads', "what the ranking regulariser's second head adds to a training step"),
    'neighbourhoods': ('neighbourhoods', 'batches of local sampling, beside scikit-learn as the original '
                                                   'called it'),
    'loader': ('loader', "images a second of the loader, beside Gluon's"),
    'train': ('train', 'images a second of training, beside PyTorch'),
    'merge': ('merge', "GoogLeNet's step with the three 1x1 convolutions at the entry of a block as one"),
    'evaluation': ('evaluation', 'seconds of Recall@K'),
    'million': ('million', 'a million vectors scored exactly, in one process and under 4 GB'),
    'clustering': ('evaluation', 'seconds of the k-means behind NMI'),
    'serve': ('serve', 'search: engines, back-ends, and the service under clients'),
}


def usage():
    """The list of benchmarks."""
    width = max(map(len, BENCHMARKS))
    lines = ['  {:<{}}  {}'.format(name, width, words) for name, (_, words) in BENCHMARKS.items()]
    return '\n'.join([__doc__.strip(), '', 'Names:', *lines])


def main(argv):
    """Run one benchmark; returns the exit status."""
    if not argv or argv[0] in ('-h', '--help'):
        print(usage())
        return 0
    name = pick_name('benchmark', argv[0], BENCHMARKS)
    module = importlib.import_module('scripts.benchmarks.' + BENCHMARKS[name][0])
    parser = argparse.ArgumentParser(prog='benchmark.py ' + name, description=module.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(benchmark=name)
    module.add_args(parser)
    parser.add_argument('--json', metavar='FILE', help='also write the numbers to this file')
    args = parser.parse_args(argv[1:])
    numbers = module.run(args)
    if args.json:
        write_json(args.json, numbers)
    return 0


if __name__ == '__main__':
    enter_virtual_environment()
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
