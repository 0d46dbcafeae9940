"""The batches of margin loss in DeepEmbedding: blocks of distinct images, drawn anew for every batch."""

import numpy as np

from core.errors import UserError
from core.flags import bounded
from samplers.base import Sampler
from samplers.pk import add_num_instances, check, members_of

# name -> (batches in an epoch of the original, needs super classes)
BLOCKS = {'cub': (200, False), 'ebay_cross': (800, False), 'ebay_in': (800, True), 'fashion_cross': (1000, False),
          'fashion_in': (1000, True)}


class Blocks(Sampler):
    """Batches of P distinct classes with K distinct images each; classes with fewer than K images are never drawn.

    Unlike `pk`, batches are drawn independently of each other: an epoch is a number of batches, not a pass. How the
    classes of a batch are chosen (--blocks):

    cub, ebay_cross : uniformly
    fashion_cross : in proportion to their number of images
    ebay_in : all of one super class, which is drawn in proportion to its images; classes in proportion to theirs.
        DIFFERS: the original can draw a class for two blocks of a batch, and then samples "negatives" of the same
        class; here the classes of a batch are distinct.
    fashion_in : all of one super class, which is drawn in proportion to its number of classes; classes uniformly

    ORIGINAL: a super class with fewer than P such classes gives all of them, hence a smaller batch.
    DIFFERS: the originals skip a drawn class with fewer than K images, and a batch may come out smaller or even empty;
    here such classes do not take part in the draw, nor super classes with fewer than two others.

    Parameters: labels (N,); batch_size = P * K; num_instances = K; blocks one of BLOCKS; batches_per_epoch 0: the
    original's number; super_label int (N,), needed by ebay_in and fashion_in.
    """

    def __init__(self, labels, batch_size, num_instances, blocks='cub', batches_per_epoch=0, super_label=None):
        super().__init__(labels)
        count, inside = BLOCKS[blocks]
        members = members_of(labels)
        self.usable = np.array([c for c, rows in enumerate(members) if len(rows) >= num_instances], dtype=np.int64)
        self.members, self.num_instances, self.blocks = members, num_instances, blocks
        self.batches = batches_per_epoch or count
        enough = np.isin(self.labels, self.usable)
        if not enough.any():
            raise UserError(f'--num_instances={num_instances} is more than any class has images '
                            f'({max(len(rows) for rows in members)}). Fix: at most '
                            f'{max(len(rows) for rows in members)}')
        self.per_batch = check(self.labels[enough], batch_size, num_instances)
        self.size = np.array([len(members[c]) for c in self.usable], dtype=np.float64)
        self.families = None
        if inside:
            if super_label is None:
                raise UserError(f'--blocks={blocks} needs super-classes, which this data set does not have. Fix: '
                                '--blocks=cub')
            family = np.array([super_label[members[c][0]] for c in self.usable])
            found = [np.flatnonzero(family == f) for f in np.unique(family)]
            self.families = [positions for positions in found if len(positions) > 1]
            if not self.families:
                raise UserError(f'--blocks={blocks}: no super class has two classes of {num_instances} images. Fix: '
                                'a smaller '
                                '--num_instances, or --blocks=cub')

    @staticmethod
    def add_args(group):
        """Add --num_instances, --blocks and --batches_per_epoch."""
        add_num_instances(group, 5)
        group.add_argument('--blocks', choices=sorted(BLOCKS), default='cub',
                           help='how the classes of a batch are chosen; *_in: all from one super class')
        originals = ', '.join(f'{name} {BLOCKS[name][0]}' for name in sorted(BLOCKS))
        group.add_argument('--batches_per_epoch', type=bounded(int, 0), default=0, metavar='N',
                           help=f"batches in an epoch; 0: the original's, {originals}")

    @classmethod
    def from_args(cls, args, labels, super_label=None):
        """Build from --batch_size, --num_instances, --blocks and --batches_per_epoch."""
        return cls(labels, args.batch_size, args.num_instances, args.blocks, args.batches_per_epoch, super_label)

    @classmethod
    def classes_per_batch(cls, args):
        """P."""
        return args.batch_size // args.num_instances

    def indices(self, epoch, rng, embed):
        """Batches of P * K rows, the K of a class side by side."""
        for _ in range(self.batches):
            yield np.concatenate([rng.choice(self.members[c], self.num_instances, replace=False)
                                  for c in self.usable[self.classes(rng)]])

    def classes(self, rng):
        """Positions in `usable` of the classes of one batch."""
        among = np.arange(len(self.usable))
        if self.families is not None:
            weight = np.array([self.size[f].sum() if self.blocks == 'ebay_in' else len(f) for f in self.families],
                              dtype=np.float64)
            among = self.families[rng.choice(len(self.families), p=weight / weight.sum())]
        by_images = self.blocks in ('ebay_in', 'fashion_cross')
        chance = self.size[among] / self.size[among].sum() if by_images else None
        return rng.choice(among, min(self.per_batch, len(among)), replace=False, p=chance)
