"""What a sampler is: a pure function from labels to the batches of an epoch."""

import numpy as np

from core.contracts import Plan


class Sampler:
    """Base class. `plan` depends on its arguments alone.

    Parameters
    ----------
    labels : int64 (N,), labels 0..C-1 of the training set
    """

    needs_embed = False    # True: plan() reads the current embeddings of the training set

    def __init__(self, labels):
        self.labels = np.asarray(labels, dtype=np.int64)

    @staticmethod
    def add_args(group):
        """Add the sampler's own flags to an argparse group."""

    @classmethod
    def from_args(cls, args, labels, super_label=None):
        """Build from parsed flags. Raises UserError naming the flag, the value and the fix.

        super_label : int (N,) super-classes, None if the data set has none
        """
        return cls(labels)

    @classmethod
    def classes_per_batch(cls, args):
        """Classes in a batch that the flags ask for, or None where they do not say."""
        return None

    def indices(self, epoch, rng, embed):
        """The epoch's batches: an iterable of int arrays, or of (index, extra) pairs, see core.contracts.Plan."""
        raise NotImplementedError(f'{type(self).__name__} must define indices()')

    def plan(self, epoch, rng, embed=None):
        """List of Plan for one epoch.

        epoch : int, counted from 0
        rng : numpy RandomState, the only source of randomness
        embed : callable without arguments -> float32 (N, D) embeddings of the training set (test transform, eval mode)
        """
        plans = []
        for item in self.indices(epoch, rng, embed):
            index, extra = item if isinstance(item, tuple) else (item, None)
            plans.append((np.asarray(index, dtype=np.int64), extra))
        seeds = np.random.RandomState(rng.randint(2 ** 32, dtype=np.uint32))
        return [Plan(index, seeds.randint(2 ** 32, size=len(index), dtype=np.uint32), extra) for index, extra in plans]
