"""Evaluation: exact neighbours, retrieval metrics, clustering, classification, verification, figures, report.

Everything takes arrays and named values. What a program needs first is here, and loads when it is used:

>>> import evaluation
>>> x = [[0.0, 0.0], [0.1, 0.0], [5.0, 0.0], [5.1, 0.0]]
>>> evaluation.retrieval(x, ['a', 'a', 'b', 'b'], ks=[1])['recall']
{'1': 1.0}
"""

import importlib

from core.flags import ints, switch
from evaluation.settings import CLUSTERING, METRICS

# name -> module that holds it: MXNet, scikit-learn and faiss load when one of them is asked for, not for `--help`
PUBLIC = {'retrieval': 'protocols', 'classification': 'protocols', 'table': 'protocols',
          'verify_pairs': 'verification', 'load_embeddings': 'embeddings', 'save_embeddings': 'embeddings'}
__all__ = ['add_args', *PUBLIC]


def __getattr__(name):
    if name not in PUBLIC:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module('evaluation.' + PUBLIC[name]), name)


def add_args(group):
    """Declare the evaluation flags on an argparse group."""
    group.add_argument('--recallk', type=ints, default=[1, 2, 4, 8], help='K of Recall@K, comma separated')
    group.add_argument('--metric', choices=METRICS, default='euclidean', help='what nearest means')
    switch(group, '--nmi', default=False, help='cluster at every evaluation and report NMI, F1 and AMI')
    group.add_argument('--clustering', choices=tuple(CLUSTERING), default='fast',
                       help='k-means setting: fast, or that of an original')
