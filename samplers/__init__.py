"""Samplers: which images form a batch. One file each, one line each in the table SAMPLERS."""

from core.errors import pick
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


def add_args(group):
    """Flags of all samplers; the chosen class then adds its own."""
    group.add_argument('--sampler', default='pk', metavar='NAME',
                       help='batch construction: {}; the default is that of the loss'.format(', '.join(SAMPLERS)))
    group.add_argument('--batch_size', '--training_batch_size', '-b', dest='batch_size', type=bounded(int, 1),
                       default=128, help='images in a batch')


__all__ = ['SAMPLERS', 'Sampler', 'add_args', 'build', 'get_sampler']
