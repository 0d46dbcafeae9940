"""Retrieval metrics and k-means at the size of Stanford Online Products' test set, beside what else computes them.

`scripts/benchmark.py evaluation` measures, on unit vectors:

bare     the float32 products of all pairs by FullyConnected, block by block, nothing done with them: the yardstick
ours     search.ranks: Recall@1/10/100/1000, mean rank, MAP@R and R-precision, exact, ties included
faiss    IndexFlatL2.search with k = 1001, from which Recall@1000 follows
pml      pytorch-metric-learning's AccuracyCalculator: Precision@1 and MAP@R

bare and ours take turns in one process, the others get one each. Below `ours` stands where its time goes, as parts of
the bare products, whose sum is the ratio. `random` vectors are spread evenly; `clustered` ones
resemble a trained network's: nearly every query is still open for MAP@R when the pass begins.

`scripts/benchmark.py clustering` measures k-means at full size, and both libraries at a size that both can do.

Memory is the peak of the process above what it had once the embeddings were made and the libraries loaded.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
KS = (1, 10, 100, 1000)


def add_args(parser):
    """Flags of both benchmarks."""
    parser.add_argument('--items', type=int, default=60502)
    parser.add_argument('--dim', type=int, default=512)
    parser.add_argument('--classes', type=int, default=11316)
    parser.add_argument('--data', default='both', choices=('random', 'clustered', 'both'))
    parser.add_argument('--rounds', type=int, default=3, help='measurements of bare and ours; the median counts')
    parser.add_argument('--beside', default='faiss,pml', help='others to measure, if they are installed; empty: none')
    parser.add_argument('--torch_python', default=sys.executable,
                        help='a Python with pytorch-metric-learning and faiss')
    parser.add_argument('--small_items', type=int, default=8000, help='clustering: items for both libraries')
    parser.add_argument('--small_classes', type=int, default=800, help='clustering: clusters for both libraries')
    parser.add_argument('--child', default='', help=argparse.SUPPRESS)


def make(kind, n, d, classes, seed=0):
    """(unit vectors float32 (n, d), labels): at least one item of each class."""
    import numpy as np
    rng = np.random.RandomState(seed)
    labels = rng.permutation(np.concatenate([np.arange(classes), rng.randint(classes, size=n - classes)]))
    x = rng.standard_normal((n, d)).astype(np.float32)
    if kind == 'clustered':    # classes lie in 200 groups; Recall@1 is about 0.65 at full size
        groups = rng.standard_normal((200, d)).astype(np.float32)[rng.randint(200, size=classes)]
        x *= 3.0
        x += (rng.standard_normal((classes, d)).astype(np.float32) + groups)[labels]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, labels


def memory(field):
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


class Measured:
    """Seconds and peak memory of a block."""

    def __enter__(self):
        pathlib.Path('/proc/self/clear_refs').write_text('5')    # the peak starts anew
        self.before, self.started = memory('VmRSS'), time.perf_counter()
        return self

    def __exit__(self, *error):
        self.seconds = time.perf_counter() - self.started
        self.peak = memory('VmHWM') - self.before


def products(x):
    """The yardstick."""
    from core.runtime import nd
    from evaluation.neighbours.products import Buffer
    x = nd.array(x)
    buffer = Buffer(2048 * 8192, x)
    for i in range(0, len(x), 2048):
        for j in range(0, len(x), 8192):
            buffer.product(x[i:i + 2048], x[j:j + 8192])


class Shares:
    """Seconds of the parts of search.ranks while the block lasts, each without the parts that run inside it."""

    def __init__(self):
        from evaluation.neighbours import lists, scores, search, sweep
        self.places = {'products': [(sweep.Buffer, 'product')],
                       'comparisons': [(lists, 'sweep')],
                       'float64 scores': [(scores.Scores, 'pairs')],
                       'lists': [(lists.Lists, '_condense'), (lists.Lists, 'nearest')],
                       'first thresholds': [(search, 'best_positives'), (lists.Lists, '_first_thresholds')]}
        self.seconds, self.inside, self.before = dict.fromkeys([*self.places, 'the rest'], 0.0), [], []

    def timed(self, part, function):
        def run(*args, **options):
            started = time.perf_counter()
            self.inside.append(0.0)
            try:
                return function(*args, **options)
            finally:
                took = time.perf_counter() - started
                self.seconds[part] += took - self.inside.pop()
                if self.inside:
                    self.inside[-1] += took
        return run

    def __enter__(self):
        for part, places in self.places.items():
            for holder, name in places:
                self.before.append((holder, name, getattr(holder, name)))
                setattr(holder, name, self.timed(part, getattr(holder, name)))
        self.started = time.perf_counter()
        return self

    def __exit__(self, *error):
        self.seconds['the rest'] = time.perf_counter() - self.started - sum(self.seconds.values())
        for holder, name, function in self.before:
            setattr(holder, name, function)


def child_ours(x, labels, rounds):
    """bare and ours in turns."""
    from evaluation.neighbours import search
    products(x[:4096])
    search.ranks(x[:4096], labels[:4096])
    rows = []
    for _ in range(rounds):
        with Measured() as bare:
            products(x)
        with Measured() as ours, Shares() as shares:
            ranks = search.ranks(x, labels)
        rows.append({'bare': bare.seconds, 'ours': ours.seconds, 'peak': ours.peak, 'shares': shares.seconds})
    found = ranks.positives > 0
    numbers = {f'R@{k}': float((ranks.best < k).mean()) for k in KS}
    numbers.update({'P@1': float((ranks.best[found] < 1).mean()),
                    'MAP@R': float(ranks.average_precision[found].mean()),
                    'R-precision': float(ranks.r_precision[found].mean())})
    return {'rounds': rows, 'numbers': numbers}


def child_faiss(x, labels, rounds):
    """Recall by lists of neighbours; the query is taken out by its row."""
    import faiss
    import numpy as np
    with Measured() as measured:
        index = faiss.IndexFlatL2(x.shape[1])
        index.add(x)
        found = index.search(x, 1001)[1]
        hit = labels[found] == labels[:, None]
        hit &= found != np.arange(len(x))[:, None]
        first = np.where(hit.any(axis=1), hit.argmax(axis=1), 1001)
        first -= (np.cumsum(found == np.arange(len(x))[:, None], axis=1)[np.arange(len(x)), np.minimum(first, 1000)])
    return {'seconds': measured.seconds, 'peak': measured.peak,
            'numbers': {f'R@{k}': float((first < k).mean()) for k in KS}}


def child_pml(x, labels, rounds):
    """Precision@1 and MAP@R of pytorch-metric-learning."""
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    x, labels = torch.from_numpy(x), torch.from_numpy(labels)
    with Measured() as measured:
        found = AccuracyCalculator(include=('precision_at_1', 'mean_average_precision_at_r'),
                                   k='max_bin_count').get_accuracy(x, labels)
    return {'seconds': measured.seconds, 'peak': measured.peak,
            'numbers': {'P@1': found['precision_at_1'], 'MAP@R': found['mean_average_precision_at_r']}}


def child_kmeans(x, labels, rounds, library='faiss', name=None):
    """k-means, k = classes, one start."""
    import numpy as np

    from evaluation import clustering, metrics
    k = int(labels.max()) + 1
    clustering.kmeans(x[:500], 10, library=library, iterations=2)
    with Measured() as measured:
        clusters = clustering.kmeans(x, k, library=library, iterations=20 if library == 'faiss' else 300)
    with Measured() as scoring:
        numbers = metrics.clustering(labels, clusters)
    sizes = np.maximum(np.bincount(clusters, minlength=k), 1)
    centres = np.zeros((k, x.shape[1]), dtype=np.float64)
    np.add.at(centres, clusters, x)
    centres /= sizes[:, None]
    numbers['mean squared distance'] = float(np.mean([((x[s:s + 4096] - centres[clusters[s:s + 4096]]) ** 2).sum(axis=1)
                                                      .sum() / len(x) for s in range(0, len(x), 4096)]) *
                                             -(-len(x) // 4096))
    return {'seconds': measured.seconds, 'peak': measured.peak, 'scoring': scoring.seconds, 'numbers': numbers}


def child_sklearn(x, labels, rounds):
    return child_kmeans(x, labels, rounds, 'sklearn')


CHILDREN = {'ours': child_ours, 'faiss': child_faiss, 'pml': child_pml, 'kmeans': child_kmeans,
            'sklearn': child_sklearn}


def start(args, child, kind, n, classes, python=sys.executable):
    """Run one child process; its result."""
    command = [python, '-m', 'scripts.benchmarks.evaluation', '--child', child, '--data', kind,
               '--items', str(n), '--dim', str(args.dim),
               '--classes', str(classes), '--rounds', str(args.rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)))
    if done.returncode:
        sys.exit(f'{child} failed with status {done.returncode}')
    return json.loads(done.stdout.splitlines()[-1])


def line(name, seconds, peak, ratio, numbers):
    print('{:<34}{:>9.2f} s{:>8}{:>9}   {}'.format(
        name, seconds, '' if ratio is None else f'{ratio:.2f}x',
        '' if peak is None else f'{peak / 1e9:.2f} GB',
        '  '.join(f'{key} {value:.5f}' for key, value in numbers.items())), flush=True)


def evaluation(args):
    """Print a table for each kind of data; returns {kind: {name: result}}."""
    results = {}
    for kind in ('random', 'clustered') if args.data == 'both' else (args.data,):
        print(f'\n{args.items} x {args.dim} {kind} unit vectors, {args.classes} classes, '
              f'{len(os.sched_getaffinity(0))} processors; seconds, ratio to bare, peak memory')
        ours = start(args, 'ours', kind, args.items, args.classes)
        rounds = ours['rounds']
        bare = statistics.median(row['bare'] for row in rounds)
        ratio = statistics.median(row['ours'] / row['bare'] for row in rounds)
        line('bare products', bare, None, 1.0, {})
        line('ours, Recall@K MAP@R R-precision', statistics.median(row['ours'] for row in rounds),
             max(row['peak'] for row in rounds), ratio, ours['numbers'])
        shares = {part: statistics.median(row['shares'][part] / row['bare'] for row in rounds)
                  for part in rounds[0]['shares']}
        for part, share in shares.items():
            line('    of this, ' + part, share * bare, None, share, {})
        results[kind] = {'ours': dict(ours, ratio=ratio, shares=shares)}
        for name, module, python in (('faiss', 'faiss', sys.executable),
                                     ('pml', 'pytorch_metric_learning', args.torch_python)):
            if name not in args.beside.split(','):
                continue
            if subprocess.run([python, '-c', 'import ' + module], stderr=subprocess.DEVNULL).returncode:
                print('{} is left out: {} does not have it{}'.format(
                    module, python, '. Fix: --torch_python=PYTHON' if name == 'pml' else ''))
                continue
            other = results[kind][name] = start(args, name, kind, args.items, args.classes, python)
            title = {'faiss': 'faiss IndexFlatL2, k = 1001', 'pml': 'pytorch-metric-learning'}[name]
            line(title, other['seconds'], other['peak'], other['seconds'] / bare, other['numbers'])
    return results


def clustering(args):
    """Print k-means at full size, then of both libraries at a smaller one; returns {name: result}."""
    results = {'small ours': start(args, 'kmeans', 'clustered', args.small_items, args.small_classes),
               'small sklearn': start(args, 'sklearn', 'clustered', args.small_items, args.small_classes),
               'full': start(args, 'kmeans', 'clustered', args.items, args.classes)}
    for name, (n, k) in (('small ours', (args.small_items, args.small_classes)),
                         ('small sklearn', (args.small_items, args.small_classes)),
                         ('full', (args.items, args.classes))):
        found = results[name]
        line('k-means {} {} x {}, k = {}'.format('sklearn' if 'sklearn' in name else 'ours', n, args.dim, k),
             found['seconds'], found['peak'], None, found['numbers'])
        print('    NMI, F1 and AMI: {:.2f} s'.format(found['scoring']))
    return results


def run(args):
    """args.benchmark: 'evaluation' or 'clustering'."""
    return {'evaluation': evaluation, 'clustering': clustering}[args.benchmark](args)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--benchmark', choices=('evaluation', 'clustering'), default='evaluation')
    add_args(parser)
    args = parser.parse_args()
    if args.child:
        x, labels = make(args.data, args.items, args.dim, args.classes)
        print(json.dumps(CHILDREN[args.child](x, labels, args.rounds)))
    else:
        run(args)


if __name__ == '__main__':
    main()
