"""Local sampling: a batch is a neighbourhood of the embedding as it is when the epoch starts."""

import warnings

import numpy as np

from core.errors import UserError
from core.flags import bounded
from core.lazy import lazy
from losses.mining import Triplets, target_pairs
from samplers.base import Sampler

sk_cluster = lazy('sklearn.cluster')
exceptions = lazy('sklearn.exceptions')
threadpoolctl = lazy('threadpoolctl')


def cluster(features, clusters, seed, starts=1):
    """k-means labels of the rows of features: k-means++, run to convergence.

    DIFFERS: one start; scikit-learn's KMeans, which the original runs with its defaults, took the best of ten then
    (docs/papers/local_sampling.md compares sizes, images used, triplets and inertia). One thread, because a sum over
    several depends on their order, and a resumed run has to find the same neighbourhoods.

    Parameters
    ----------
    features : float (N, D)
    clusters, seed, starts : int

    Returns
    -------
    int64 (N,)
    """
    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter('ignore', exceptions.ConvergenceWarning)          # fewer distinct rows than clusters
        found = sk_cluster.KMeans(clusters, init='k-means++', n_init=starts, algorithm='lloyd',
                                  random_state=seed).fit(features)
    return found.labels_.astype(np.int64)


def build_batches(features, labels, batch_size, n_target, kmeans_labels, rng):
    """[(index int64 (n,), Triplets), ...], one batch for each cluster, in ascending order.

    A cluster larger than batch_size is thinned out at random. ORIGINAL: a small one is a small batch, and the order is
    that of the cluster numbers. A cluster that gives no triplet is left out.

    Parameters: features float (N, D); labels int (N,); kmeans_labels int (N,); rng RandomState.
    Source: Nguyen & De Baets, Improved deep embedding learning based on stochastic symmetric triplet loss and local
    sampling (Neurocomputing 2020), section 3.
    """
    batches = []
    order = np.argsort(kmeans_labels, kind='stable')
    for index in np.split(order, np.cumsum(np.bincount(kmeans_labels))[:-1]):
        if len(index) > batch_size:
            index = rng.choice(index, batch_size, replace=False)
        if not len(index):
            continue
        inside = np.unique(labels[index], return_inverse=True)[1]
        triplets = Triplets(target_pairs(features[index], inside, n_target), inside)
        if len(triplets):
            batches.append((index, triplets))
    return batches


class Local(Sampler):
    """Batches from k-means neighbourhoods of the current embedding, N // batch_size of them.

    Parameters: labels (N,); batch_size; n_targets same-class neighbours of each anchor; recluster: how often an epoch
    goes over the neighbourhoods before the next one makes new ones (1: as the original); neighbourhoods: kmeans, or
    random batches of the same number, to see what the neighbourhoods are worth.
    """

    needs_embed = True

    def __init__(self, labels, batch_size, n_targets=5, recluster=1, neighbourhoods='kmeans'):
        super().__init__(labels)
        self.batch_size, self.n_targets, self.recluster = batch_size, n_targets, recluster
        self.neighbourhoods = neighbourhoods

    @staticmethod
    def add_args(group):
        """Add --n_targets, --recluster and --neighbourhoods."""
        group.add_argument('--n_targets', '-n_targets', dest='n_targets', type=bounded(int, 1), default=5,
                           help='nearest images of its class that an anchor is paired with')
        group.add_argument('--recluster', type=bounded(int, 1), default=1, metavar='N',
                           help='passes over the neighbourhoods before they are made anew; such a round is one epoch. '
                                'More saves the embedding of the whole training set, but the neighbourhoods age')
        group.add_argument('--neighbourhoods', default='kmeans', choices=('kmeans', 'random'),
                           help='what a batch is: a cluster of the current embedding, or images drawn at random')

    @classmethod
    def from_args(cls, args, labels, super_label=None):
        """Build from the flags above and --batch_size."""
        return cls(labels, args.batch_size, args.n_targets, args.recluster, args.neighbourhoods)

    def indices(self, epoch, rng, embed):
        """Pairs (index, Triplets)."""
        features = np.asarray(embed(), dtype=np.float32)
        if len(features) != len(self.labels):
            raise ValueError(f'embed() gave {len(features)} rows for {len(self.labels)} images')
        if not np.isfinite(features).all():
            raise UserError('the embedding of the training set is not finite, so it has no neighbourhoods. Fix: a '
                            'smaller --lr')
        clusters = max(1, len(features) // self.batch_size)
        if self.neighbourhoods == 'random':
            found = rng.permutation(len(features)) % clusters
        else:
            found = cluster(features, clusters, rng.randint(2 ** 31))
        batches = build_batches(features, self.labels, self.batch_size, self.n_targets, found, rng)
        return batches * self.recluster
