"""A million vectors scored exactly, in one process and under 4 GB: `scripts/benchmark.py million`.

Scores 1,000,000 x 128 random unit vectors of 100,000 classes that lie in a file. `--items`, `--dim` and `--classes`
make it smaller. The bare products are timed on a sample of the blocks and multiplied up; a twentieth of the vectors is
scored first, which tells how long all will take. The process may not have more than 4 GB: an array beyond them is
refused by the system, and the benchmark ends.
"""

import pathlib
import resource
import tempfile
import time

from scripts.benchmarks.evaluation import KS, Measured, line, memory

ALLOWED = 4e9    # bytes, the pages of the file among them


def add_args(parser):
    """Flags of the benchmark."""
    parser.add_argument('--items', type=int, default=1000000)
    parser.add_argument('--dim', type=int, default=128)
    parser.add_argument('--classes', type=int, default=100000)


def write_unit_vectors(file, n, d, seed=0, rows=65536):
    """Random unit vectors float32 (n, d) as an .npy file, made in pieces."""
    import numpy as np
    rng = np.random.RandomState(seed)
    out = np.lib.format.open_memmap(file, 'w+', np.float32, (n, d))
    for start in range(0, n, rows):
        part = rng.standard_normal((min(rows, n - start), d)).astype(np.float32)
        out[start:start + rows] = part / np.linalg.norm(part, axis=1, keepdims=True)
    out.flush()


def run(args):
    """Print seconds, the ratio to the bare products and the peak memory; returns them."""
    import numpy as np
    from tqdm import tqdm

    from core.runtime import nd
    from evaluation.embeddings import load_embeddings
    from evaluation.neighbours import search, sweep
    from evaluation.neighbours.products import Buffer
    from evaluation.neighbours.sweep import blocks_of
    sweep.tqdm = lambda blocks, **options: tqdm(blocks, **{**options, 'disable': False, 'mininterval': 20})
    limit = int(ALLOWED - 4 * args.items * args.dim)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, 'vectors.npy')
        print(f'{args.items:,} x {args.dim} vectors go to {file}', flush=True)
        write_unit_vectors(file, args.items, args.dim)
        labels = np.random.RandomState(1).permutation(np.arange(args.items) % args.classes)
        file.with_suffix('.csv').write_text('label\n' + '\n'.join(map(str, labels)) + '\n')
        loaded = load_embeddings(file)
        blocks = list(blocks_of(args.items, args.items, True))
        some = [blocks[i] for i in np.random.RandomState(2).choice(len(blocks), min(64, len(blocks)), replace=False)]
        buffer = Buffer(1024 * 8192, nd.array([0]))
        x = nd.array(loaded.embeddings[:8192])
        buffer.product(x[:1024], x)
        started, entries = time.perf_counter(), 0
        for rows, columns in some:
            left, right = nd.array(loaded.embeddings[rows]), nd.array(loaded.embeddings[columns])
            buffer.product(left, right)
            entries += len(left) * len(right)
        bare = (time.perf_counter() - started) / entries * args.items ** 2
        line('bare products, multiplied up', bare, None, 1.0, {})
        del x, buffer
        first = args.items // 20
        with Measured() as measured:
            search.ranks(loaded.embeddings[:first], loaded.labels[:first])
        print(f'{first:,} of them took {measured.seconds:.1f} s: all take about {400 * measured.seconds / 60:.0f} min',
              flush=True)
        peak = memory('VmHWM')
        with Measured() as measured:
            ranks = search.ranks(loaded.embeddings, loaded.labels)
        peak = max(peak, memory('VmHWM'))
    numbers = {f'R@{k}': float((ranks.best < k).mean()) for k in KS}
    numbers['MAP@R'] = float(ranks.average_precision.mean())
    line(f'{args.items} x {args.dim}, {args.classes} classes', measured.seconds, peak, measured.seconds / bare, numbers)
    if peak > ALLOWED:
        print(f'this is more than {ALLOWED / 1e9:.0f} GB', flush=True)
    return {'bare': bare, 'seconds': measured.seconds, 'peak': peak, 'numbers': numbers}
