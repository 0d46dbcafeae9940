"""Measurements of the suite's costs, each beside what it is to be compared with.

    python3 scripts/benchmark.py losses --torch_python=PYTHON
    python3 scripts/benchmark.py NAME --help
"""

import argparse
import importlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from engine.errors import UserError, pick_name  # noqa: E402
from engine.interpreter import enter_virtual_environment  # noqa: E402

# name -> (module, what it measures)
BENCHMARKS = {
    'losses': ('benchmark_losses', 'milliseconds a step of every loss, beside pytorch-metric-learning'),
    'step': ('benchmark_step', 'the share of the loss in a training step'),
    'heads': ('benchmark_heads', "what the ranking regulariser's second head adds to a training step"),
    'neighbourhoods': ('benchmark_neighbourhoods', 'batches of local sampling, beside scikit-learn as the original '
                                                   'called it'),
    'loader': ('benchmark_loader', "images a second of the loader, beside Gluon's"),
    'train': ('benchmark_train', 'images a second of training, beside PyTorch'),
    'evaluation': ('benchmark_evaluation', 'seconds of Recall@K'),
    'clustering': ('benchmark_evaluation', 'seconds of the k-means behind NMI'),
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
    module = importlib.import_module(BENCHMARKS[name][0])
    parser = argparse.ArgumentParser(prog='benchmark.py ' + name, description=module.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(benchmark=name)
    module.add_args(parser)
    module.run(parser.parse_args(argv[1:]))
    return 0


if __name__ == '__main__':
    enter_virtual_environment()
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        print('error: {}'.format(error), file=sys.stderr)
        sys.exit(2)
