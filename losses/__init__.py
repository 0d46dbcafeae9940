"""Losses: one file each, one line each in the table LOSSES."""

from engine.errors import pick
from losses.base import Batch, Criterion, Out
from losses.hphn_triplet import HPHNTriplet

__all__ = ['Batch', 'Criterion', 'LOSSES', 'Out', 'add_args', 'get_loss']

LOSSES = {
    'hphn_triplet': HPHNTriplet,
}


def get_loss(name):
    """The Criterion class called `name` (`-` = `_`, any case). Raises UserError that lists all names."""
    return pick('--loss', name, LOSSES)


def add_args(group):
    """Add the flag that chooses a loss; the chosen class then adds its own."""
    group.add_argument('--loss', default='hphn_triplet', metavar='NAME',
                       help='loss function: {} (default: %(default)s)'.format(', '.join(sorted(LOSSES))))
