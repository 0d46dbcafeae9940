"""The batches of hard-aware deeply cascaded embedding (HDC), drawn as the authors' two scripts draw them."""

import math

import numpy as np

from core.errors import UserError
from core.flags import bounded
from samplers.base import Sampler
from samplers.pk import add_num_instances, check, members_of

BATCHES = 5000     # of the authors' list; they read it in order again and again


def sample(population, count, below):
    """`count` distinct members of a list in random order, by the algorithm of Python's random.sample.

    Parameters
    ----------
    population : list
    count : int, at most len(population)
    below : callable(n) -> whole number from 0 to n - 1

    Returns
    -------
    list

    Example
    -------
    >>> sample(['a', 'b', 'c'], 2, below=lambda n: 0)
    ['a', 'c']
    """
    n = len(population)
    if n <= 21 + (4 ** math.ceil(math.log(3 * count, 4)) if count > 5 else 0):     # few: take them out of the list
        pool, taken = list(population), []
        for left in range(n, n - count, -1):
            j = below(left)
            taken.append(pool[j])
            pool[j] = pool[left - 1]
        return taken
    taken = []
    while len(taken) < count:                                                        # many: draw until it is new
        j = below(n)
        if j not in taken:
            taken.append(j)
    return [population[j] for j in taken]


def class_batch(members, classes, images, below):
    """Rows of one batch: `images` distinct ones of each of `classes` distinct classes, class after class."""
    return np.concatenate([sample(members[c].tolist(), images, below)
                           for c in sample(list(range(len(members))), classes, below)])


def super_class_group(members, family, classes, rng):
    """All rows of `classes` classes in each of two super-classes, both drawn in proportion to their images.

    Parameters
    ----------
    members : list of int arrays, the rows of each class
    family : int (C,), the super-class of each class
    classes : int, how many of a super-class
    rng : numpy RandomState
    """
    size = np.array([len(rows) for rows in members], dtype=np.float64)
    names = np.unique(family)
    total = np.array([size[family == name].sum() for name in names])
    rows = []
    for name in names[rng.choice(len(names), 2, replace=False, p=total / total.sum())]:
        among = np.flatnonzero(family == name)
        chosen = rng.choice(among, min(classes, len(among)), replace=False, p=size[among] / size[among].sum())
        rows += [members[c] for c in chosen]
    return np.concatenate(rows)


class HDCBatches(Sampler):
    """Batches of the HDC authors.

    classes : P distinct classes, K distinct images of each, both drawn uniformly, batch after batch on its own
    super_classes : groups of two super-classes, 10 classes of each with all their images, one group after the other,
        cut into batches.
        # ORIGINAL: batches cut across groups and classes, so a class may be split, or come with a single image.

    # DIFFERS: the authors draw one list of 5,000 batches (groups) and read it again and again; here every epoch draws
    # its own.
    # DIFFERS: classes with fewer than K images are left out; the original stops with an error.

    Parameters
    ----------
    labels : int (N,)
    batch_size : int, P * K
    num_instances : int, K; without a part in super_classes
    source : 'classes' or 'super_classes'
    batches : int, batches (groups for super_classes) in an epoch
    super_label : int (N,), the super-class of each image; needed by super_classes
    """

    def __init__(self, labels, batch_size, num_instances=10, source='classes', batches=BATCHES, super_label=None):
        super().__init__(labels)
        self.batch_size, self.num_instances, self.batches = batch_size, num_instances, batches
        self.family, self.classes = None, 10
        self.members = members_of(labels)
        if source == 'super_classes':
            if super_label is None:
                raise UserError('--hdc_batches=super_classes needs super-classes, which this data set does not have. '
                                'Fix: --hdc_batches=classes')
            self.members = [rows for rows in self.members if len(rows)]
            self.family = np.array([np.asarray(super_label)[rows[0]] for rows in self.members])
            if len(np.unique(self.family)) < 2:
                raise UserError('--hdc_batches=super_classes draws two super-classes, but the training set has one. '
                                'Fix: --hdc_batches=classes')
            return
        self.members = [rows for rows in self.members if len(rows) >= num_instances]
        if not self.members:
            most = int(np.bincount(self.labels).max())
            raise UserError(f'--num_instances={num_instances} is more than any class has images ({most}). Fix: at most '
                            f'{most}')
        self.classes = check(np.concatenate([self.labels[rows] for rows in self.members]), batch_size, num_instances)

    @staticmethod
    def add_args(group):
        """Add --num_instances, --hdc_batches and --batches_per_epoch."""
        add_num_instances(group, 10)
        group.add_argument('--hdc_batches', choices=('classes', 'super_classes'), default='classes',
                           help='classes: distinct classes with --num_instances images each; super_classes: all images '
                                'of 10 classes in each of two super-classes (Online Products)')
        group.add_argument('--batches_per_epoch', type=bounded(int, 0), default=0, metavar='N',
                           help=f"batches in an epoch (groups for super_classes); 0: the original's {BATCHES}")

    @classmethod
    def from_args(cls, args, labels, super_label=None):
        """Build from --batch_size, --num_instances, --hdc_batches and --batches_per_epoch."""
        return cls(labels, args.batch_size, args.num_instances, args.hdc_batches, args.batches_per_epoch or BATCHES,
                   super_label)

    @classmethod
    def classes_per_batch(cls, args):
        """P; None for super_classes."""
        return None if args.hdc_batches == 'super_classes' else args.batch_size // args.num_instances

    def indices(self, epoch, rng, embed):
        """Batches of rows."""
        if self.family is None:
            for _ in range(self.batches):
                yield class_batch(self.members, self.classes, self.num_instances,
                                  below=lambda n: int(rng.random_sample() * n))
            return
        rest = np.zeros(0, dtype=np.int64)
        for _ in range(self.batches):
            rest = np.concatenate([rest, super_class_group(self.members, self.family, self.classes, rng)])
            while len(rest) >= self.batch_size:
                yield rest[:self.batch_size]
                rest = rest[self.batch_size:]
