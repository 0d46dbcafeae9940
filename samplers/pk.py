"""P classes x K images: the usual batch of losses that compare images within the batch."""

import numpy as np

from core.errors import UserError
from core.flags import bounded
from samplers.base import Sampler


def add_num_instances(group, default=32):
    """Declare K under the names that the original systems gave it."""
    group.add_argument('--num_instances', '--batch_k', '--Triplet_K', dest='num_instances', type=bounded(int, 1),
                       default=default, metavar='K', help='images of each class in a batch; --batch_size is a multiple '
                                                          'of it')


def check(labels, batch_size, num_instances, least=2):
    """P = batch_size / num_instances; UserError with the fix when the data set cannot give such batches."""
    classes = len(np.unique(labels))
    if num_instances < least:
        raise UserError(f'--num_instances={num_instances} gives no pair of one class. Fix: at least {least}, or '
                        '--sampler=random')
    if batch_size % num_instances:
        low = max(batch_size // num_instances, 1) * num_instances
        raise UserError(f'--batch_size={batch_size} is not a multiple of --num_instances={num_instances}. Fix: '
                        f'--batch_size={low} or {low + num_instances}')
    per_batch = batch_size // num_instances
    if per_batch > classes:
        raise UserError(f'--batch_size={batch_size} with --num_instances={num_instances} needs {per_batch} classes a '
                        'batch, but the training set has '
                        f'{classes}. Fix: --batch_size={classes * num_instances} or a larger --num_instances')
    return per_batch


def members_of(labels):
    """[rows of class 0, rows of class 1, ...], ascending."""
    labels = np.asarray(labels)
    order = np.argsort(labels, kind='stable')
    return np.split(order, np.cumsum(np.bincount(labels))[:-1])


def groups_of(rows, size, rng):
    """The rows of a class in random order, in groups of `size`; the last group is filled up with other rows of the
    class, and with repetitions only if the class has fewer than `size` rows."""
    rows = rng.permutation(rows)
    missing = -len(rows) % size
    if missing:
        kept = len(rows) - len(rows) % size
        pool = rows[:kept] if kept else rows
        rows = np.concatenate([rows, rng.choice(pool, missing, replace=len(pool) < missing)])
    return rows.reshape(-1, size)


def rounds(counts, per_batch, rng):
    """Batches of `per_batch` distinct classes, each class c at most counts[c] times, until fewer classes are left.

    A class is drawn in proportion to what it has left, so that large classes do not remain alone at the end.
    """
    left = np.array(counts, dtype=np.float64)
    while (left > 0).sum() >= per_batch:
        # the largest of log(u) / weight are a draw without replacement in proportion to the weights
        key = np.full(len(left), -np.inf)
        some = left > 0
        key[some] = np.log(1.0 - rng.random_sample(int(some.sum()))) / left[some]
        picked = np.argpartition(-key, per_batch - 1)[:per_batch]
        picked = picked[np.argsort(-key[picked], kind='stable')]
        left[picked] -= 1
        yield picked


class PK(Sampler):
    """Batches of P distinct classes with K images each, class after class.

    In an epoch every image comes about once: each class is cut into groups of K, and batches are made of groups of P
    different classes until fewer than P classes are left. A class with fewer than K images repeats some.

    Parameters: labels (N,); batch_size = P * K; num_instances = K.
    """

    def __init__(self, labels, batch_size, num_instances):
        super().__init__(labels)
        self.per_batch = check(labels, batch_size, num_instances)
        self.num_instances = num_instances
        self.members = members_of(labels)

    @staticmethod
    def add_args(group):
        """Add --num_instances."""
        add_num_instances(group)

    @classmethod
    def from_args(cls, args, labels, super_label=None):
        """Build from --batch_size and --num_instances."""
        return cls(labels, args.batch_size, args.num_instances)

    @classmethod
    def classes_per_batch(cls, args):
        """P."""
        return args.batch_size // args.num_instances

    def indices(self, epoch, rng, embed):
        """Batches of P * K rows, the K of a class side by side."""
        groups = [list(groups_of(rows, self.num_instances, rng)) if len(rows) else [] for rows in self.members]
        for picked in rounds([len(g) for g in groups], self.per_batch, rng):
            yield np.concatenate([groups[c].pop() for c in picked])
