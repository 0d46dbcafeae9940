"""The batches of the Embedding Expansion code, in its own order."""

import numpy as np

from samplers.pk import PK, members_of


def draw(labels, length, batch_size, num_instances, rng):
    """The original's list of rows, at least `length` long, before it is cut into batches.

    labels : (N,), 0..C-1
    """
    members = members_of(labels)
    taken, used = [], set()
    while len(taken) < length:
        for row in rng.permutation(len(labels)).tolist():
            label = labels[row]
            if label in used:
                continue
            rows = members[label]
            # ORIGINAL: the others are drawn from the whole class, `row` included, so it may come twice.
            others = rng.choice(rows, num_instances - 1, replace=len(rows) < num_instances - 1)
            taken += [row, *others.tolist()]
            used.add(label)
            if len(taken) % batch_size == 0:
                used.clear()
            if len(taken) >= length:
                break
    return np.array(taken[:length], dtype=np.int64)


class PKEE(PK):
    """P x K in the order of the Embedding Expansion code.

    Each pick is the next image, in random order, of a class that the batch does not have yet, followed by K-1 images
    drawn from its class.

    ORIGINAL: an epoch is K * C images whatever the size of the data set (98 classes, K = 32: 24 batches of 128), and
    the incomplete batch at its end is left out.
    """

    def indices(self, epoch, rng, embed):
        """Batches of P * K rows, the K of a class side by side."""
        k = self.num_instances
        size = self.per_batch * k
        order = draw(self.labels, k * len(self.members), size, k, rng)
        return [order[start:start + size] for start in range(0, len(order) - size + 1, size)]
