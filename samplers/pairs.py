"""N anchors, then the N positives, of N distinct classes: the batch of the multi-class N-pair loss."""

import numpy as np

from core.errors import UserError
from core.flags import bounded
from samplers.base import Sampler
from samplers.pk import groups_of, members_of, rounds


class Pairs(Sampler):
    """Batches of 2N images: row i and row N + i show the same class, and no class comes twice.

    In an epoch every image comes about once: each class of two or more images is cut into pairs, and batches are made
    of N pairs of different classes until fewer than N classes are left. A class with one image has no pair and is
    left out.

    With super_share > 0 that share of the classes of a batch is drawn from one super-class, chosen at random in
    proportion to its pairs; the rest comes from anywhere. Similar classes make harder negatives.
    DIFFERS: DeepEmbedding always took the super class of the first class, drew classes without regard to what the
    epoch had shown, and paired images by sorting their ids, which mis-paired when a class was drawn twice.

    Parameters: labels (N,); batch_size = 2N; super_share 0..1; super_label int (N,), needed for super_share > 0.
    Source: Sohn, Improved Deep Metric Learning with Multi-class N-pair Loss Objective (NIPS 2016).
    """

    def __init__(self, labels, batch_size, super_share=0.0, super_label=None):
        super().__init__(labels)
        if batch_size % 2:
            raise UserError(f'--batch_size={batch_size} is odd; a batch is pairs. Fix: --batch_size={batch_size + 1}')
        if super_share and super_label is None:
            raise UserError(f'--super_share={super_share:g} needs super-classes, which this data set does not '
                            'have. Fix: '
                            '--super_share=0')
        self.members = members_of(labels)
        self.pairs_per_batch, self.super_share = batch_size // 2, super_share
        useful = sum(len(rows) > 1 for rows in self.members)
        if self.pairs_per_batch > useful:
            raise UserError(f'--batch_size={batch_size} needs {self.pairs_per_batch} classes of two or more images, '
                            f'but the training set has {useful}. Fix: '
                            f'--batch_size={2 * useful} or less')
        self.family = None if not super_share else np.array(
            [super_label[rows[0]] if len(rows) else -1 for rows in self.members])

    @staticmethod
    def add_args(group):
        """Add --super_share."""
        group.add_argument('--super_share', type=bounded(float, 0, 1), default=0.0, metavar='X',
                           help='share of the classes of a batch that come from one super class (DeepEmbedding: 0.9); '
                                '0: super classes do not matter')

    @classmethod
    def from_args(cls, args, labels, super_label=None):
        """Build from --batch_size and --super_share."""
        return cls(labels, args.batch_size, args.super_share, super_label)

    @classmethod
    def classes_per_batch(cls, args):
        """N."""
        return args.batch_size // 2

    def indices(self, epoch, rng, embed):
        """Batches of 2N rows: anchors, then their positives."""
        groups = [list(groups_of(rows, 2, rng)) if len(rows) > 1 else [] for rows in self.members]
        counts = [len(g) for g in groups]
        for picked in rounds(counts, self.pairs_per_batch, rng) if self.family is None else self.related(counts, rng):
            pairs = np.stack([groups[c].pop() for c in picked])           # (N, 2)
            yield pairs.T.reshape(-1)

    def related(self, counts, rng):
        """As `rounds`, with super_share of each batch from one super class as far as it has classes left."""
        left, families = np.array(counts), np.unique(self.family)
        want = int(self.super_share * self.pairs_per_batch)
        while (left > 0).sum() >= self.pairs_per_batch:
            weight = np.array([left[self.family == f].sum() for f in families], dtype=np.float64)
            chosen = families[rng.choice(len(families), p=weight / weight.sum())]
            inside = rng.permutation(np.flatnonzero((self.family == chosen) & (left > 0)))[:want]
            others = np.setdiff1d(np.flatnonzero(left > 0), inside)
            picked = np.concatenate([inside, rng.choice(others, self.pairs_per_batch - len(inside), replace=False)])
            left[picked] -= 1
            yield picked
