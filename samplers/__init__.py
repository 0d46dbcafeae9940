"""Samplers: which images form a batch. One file each, one line each in the table SAMPLERS."""

from core.errors import UserError, pick
from core.flags import bounded
from samplers.base import Sampler
from samplers.blocks import Blocks
from samplers.hdc import HDCBatches
from samplers.local import Local
from samplers.pairs import Pairs
from samplers.pk import PK
from samplers.pk_ee import PKEE
from samplers.random import Random, Sequential
from samplers.ranking import Ranking

SAMPLERS = {
    'random': Random,
    'sequential': Sequential,
    'pk': PK,
    'pk_ee': PKEE,
    'pairs': Pairs,
    'blocks': Blocks,
    'hdc': HDCBatches,
    'ranking': Ranking,
    'local': Local,
}


def get_sampler(name):
    """The Sampler class called `name` (`-` = `_`, any case). Raises UserError that lists all names."""
    return pick('--sampler', name, SAMPLERS)


def build(args, split):
    """The sampler that args chooses, for a datasets.records.Split."""
    return get_sampler(args.sampler).from_args(args, split.labels, split.super_label)


def check_negatives(args, needed):
    """Raise UserError, with the fix, when the batches would hold one class though the loss needs negatives.

    args : parsed flags
    needed : losses.Criterion.needs_negatives(args)
    """
    classes = get_sampler(args.sampler).classes_per_batch(args)
    if not needed or classes is None or classes > 1:
        return
    instances = getattr(args, 'num_instances', None)
    if instances is None:
        raise UserError(f'--batch_size={args.batch_size} makes batches of one class, but --loss={args.loss} compares '
                        'classes. Fix: --batch_size=4 or more')
    raise UserError(f'--batch_size={args.batch_size} with --num_instances={instances} makes batches of one class, but '
                    f'--loss={args.loss} compares classes. Fix: --batch_size={2 * instances} or more, or a smaller '
                    '--num_instances')


def add_args(group):
    """Flags of all samplers; the chosen class then adds its own."""
    group.add_argument('--sampler', default='pk', metavar='NAME',
                       help=f'batch construction: {", ".join(SAMPLERS)}; the default is that of the loss')
    group.add_argument('--batch_size', '--training_batch_size', '-b', dest='batch_size', type=bounded(int, 1),
                       default=128, help='images in a batch')


__all__ = ['SAMPLERS', 'Sampler', 'add_args', 'build', 'get_sampler']
