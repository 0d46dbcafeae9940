"""Batches of local sampling from k-means neighbourhoods: `scripts/benchmark.py neighbourhoods`.

First the sampler `local` at full size: the clustering and the pairs (anchor, target) of an epoch, then the triplets
that the loader expands them to, batch after batch. Then its clustering beside the original's, scikit-learn's KMeans
with the defaults of its day (k-means++, ten starts, run to convergence), on a size that both can do. Ours runs on one
thread, so that a run can be repeated bit for bit; the original's is measured on all cores and on one.
"""

import resource
import time


def add_args(parser):
    """Flags of the neighbourhood benchmark."""
    parser.add_argument('--images', type=int, default=60000)
    parser.add_argument('--dim', type=int, default=512)
    parser.add_argument('--batch_size', type=int, default=200)
    parser.add_argument('--n_targets', type=int, default=5)
    parser.add_argument('--images_per_class', type=int, default=5)
    parser.add_argument('--small_images', type=int, default=6000, help='images for both ways of clustering')
    parser.add_argument('--small_dim', type=int, default=128)


def make_embedding(images, dim, images_per_class, seed=0):
    """(float32 (N, D) rows of length one, labels (N,)): classes that lie in 200 groups."""
    import numpy as np
    rng = np.random.RandomState(seed)
    labels = rng.permutation(images) // images_per_class
    classes = labels.max() + 1
    center = rng.standard_normal((200, dim))[rng.randint(200, size=classes)] + rng.standard_normal((classes, dim))
    x = (center[labels] + 2 * rng.standard_normal((images, dim))).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, labels


def run(args):
    """Measure, print, return {'plan': s, 'triplets': s, 'ours': s, 'original': s, 'single': s, 'inertia': ratio}."""
    import numpy as np
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    from samplers.local import Local, cluster
    x, labels = make_embedding(args.images, args.dim, args.images_per_class)
    sampler, result = Local(labels, args.batch_size, args.n_targets), {}
    result['plan'], plans = timed(lambda: sampler.plan(0, np.random.RandomState(0), lambda: x))
    result['triplets'], counts = timed(lambda: [plan.extra().shape[1] for plan in plans])
    print(f'{args.images} x {args.dim}, batches of {args.batch_size}')
    show('clusters and pairs of an epoch', result['plan'], f'{len(plans)} batches')
    show('triplets of all its batches', result['triplets'], f'{sum(counts):,} triplets')
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** 20
    print(f'peak memory of the process {peak:.2f} GB, embedding {x.nbytes / 2 ** 30:.2f} GB')

    x, _ = make_embedding(args.small_images, args.small_dim, args.images_per_class)
    clusters = max(1, args.small_images // args.batch_size)
    result['ours'], found = timed(lambda: cluster(x, clusters, 0))
    theirs = KMeans(clusters, n_init=10, random_state=0)
    result['original'], original = timed(lambda: theirs.fit(x))
    with threadpool_limits(1):
        result['single'], _ = timed(lambda: theirs.fit(x))
    ours = inertia(x, found)
    result['inertia'] = ours / original.inertia_
    print(f'\n{args.small_images} x {args.small_dim}, {clusters} clusters')
    show('ours', result['ours'], f'inertia {ours:.1f}')
    show('as the original, all cores', result['original'], f'inertia {original.inertia_:.1f}')
    show('as the original, one thread', result['single'], '')
    print('ours is {:.0f} and {:.0f} times as fast, its inertia {:.2%} higher'.format(
        result['original'] / result['ours'], result['single'] / result['ours'], result['inertia'] - 1))
    return result


def inertia(x, found):
    """Sum of squared distances to the mean of each cluster."""
    import numpy as np
    return sum(float(np.square(x[found == c] - x[found == c].mean(axis=0, dtype=np.float64)).sum())
               for c in np.unique(found))


def show(name, seconds, remark):
    """One line of the table."""
    print(f'{name:<34}{seconds:>9.2f} s   {remark}')


def timed(function):
    """(seconds, result) of a call."""
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result
