"""Batches without regard to classes."""

import numpy as np

from samplers.base import Sampler


class Random(Sampler):
    """Every image once an epoch, in random order.

    Parameters: labels (N,); batch_size; last_batch 'keep' or 'discard': what becomes of an incomplete last batch.
    """

    def __init__(self, labels, batch_size, last_batch='keep'):
        super().__init__(labels)
        self.batch_size, self.last_batch = batch_size, last_batch

    @staticmethod
    def add_args(group):
        """Add --last_batch."""
        group.add_argument('--last_batch', choices=('keep', 'discard'), default='keep',
                           help='an incomplete last batch of an epoch: train on it, or leave it out')

    @classmethod
    def from_args(cls, args, labels, super_label=None):
        """Build from --batch_size and --last_batch."""
        return cls(labels, args.batch_size, args.last_batch)

    def indices(self, epoch, rng, embed):
        """The order of the epoch, cut into batches."""
        return self.cut(rng.permutation(len(self.labels)))

    def cut(self, order):
        """`order` in pieces of batch_size."""
        size = self.batch_size
        stop = len(order) if self.last_batch == 'keep' else len(order) - len(order) % size
        return [order[start:start + size] for start in range(0, stop, size)]


class Sequential(Random):
    """Every image once an epoch, in the order of the data set.

    ORIGINAL: Heated-Up Softmax without --data_augment never shuffles its training images.
    """

    def indices(self, epoch, rng, embed):
        """Rows 0..N-1, cut into batches."""
        return self.cut(np.arange(len(self.labels)))
