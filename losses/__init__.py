"""Losses: one file each, one line each in the table LOSSES."""

from __future__ import annotations

from typing import Any

from core.errors import pick
from losses.base import Criterion
from losses.contrastive import Contrastive
from losses.hdc import HDC
from losses.heated_softmax import HeatedSoftmax
from losses.hphn_triplet import HPHNTriplet
from losses.lifted import LiftedStructure
from losses.margin import Margin
from losses.multi_similarity import MultiSimilarity
from losses.npair import NPair
from losses.softmax_ranking import SoftmaxRanking
from losses.sst import SST
from losses.triplet import TripletBatchHard, TripletLocal, TripletSemiHard

__all__ = ['Criterion', 'LOSSES', 'add_args', 'get_loss']

LOSSES = {
    'contrastive': Contrastive,
    'hdc': HDC,
    'heated_softmax': HeatedSoftmax,
    'hphn_triplet': HPHNTriplet,
    'softmax_ranking': SoftmaxRanking,
    'lifted_structure': LiftedStructure,
    'multi_similarity': MultiSimilarity,
    'margin': Margin,
    'npair': NPair,
    'sst': SST,
    'triplet_batchhard': TripletBatchHard,
    'triplet_local': TripletLocal,
    'triplet_semihard': TripletSemiHard,
}


def get_loss(name: str) -> type[Criterion]:
    """The Criterion class called `name` (`-` = `_`, any case). Raises UserError that lists all names."""
    return pick('--loss', name, LOSSES)


def add_args(group: Any) -> None:
    """Add the flag that chooses a loss; the chosen class then adds its own."""
    group.add_argument('--loss', default='hphn_triplet', metavar='NAME',
                       help=f'loss function: {", ".join(sorted(LOSSES))} (default: %(default)s)')
