"""The batches of the ranking regulariser: classes in random order, K images of each."""

import numpy as np

from samplers.pk import PK, add_num_instances


class Ranking(PK):
    """P classes x K images; an epoch goes once over the classes, in random order, cut to a multiple of P.

    K images of a class are drawn without replacement; a class with fewer repeats them evenly.
    Every epoch has an order of its own, as the original's loader, so other classes are cut off each time.

    Parameters: labels (N,); batch_size = P * K (32 = 8 x 4); num_instances = K.
    """

    @staticmethod
    def add_args(group):
        """Add --num_instances (--Triplet_K)."""
        add_num_instances(group, 4)

    def indices(self, epoch, rng, embed):
        """Batches of P * K rows, the K of a class side by side."""
        order = rng.permutation([c for c, rows in enumerate(self.members) if len(rows)])
        for start in range(0, len(order) - self.per_batch + 1, self.per_batch):
            yield np.concatenate([np.resize(rng.permutation(self.members[c]), self.num_instances)
                                  for c in order[start:start + self.per_batch]])
