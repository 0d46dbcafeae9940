"""What is measured and how: the one protocol of all papers."""

import numpy as np

from engine.flags import boolean, ints
from evaluation import clustering as kmeans
from evaluation import knn, metrics


def add_args(group):
    """Declare the evaluation flags."""
    group.add_argument('--recallk', type=ints, default=[1, 2, 4, 8], help='K of Recall@K, comma separated')
    group.add_argument('--eval_epoch_term', type=int, default=1, help='evaluate every this many epochs')
    group.add_argument('--metric', default='euclidean', help='euclidean, cosine or dot')
    group.add_argument('--nmi', type=boolean, nargs='?', const=True, default=False, help='cluster and report NMI')


def retrieval(embeddings, labels, ks, query=None, metric='euclidean', clustering=None, seed=0, extended=False,
              ctx=None):
    """Retrieval metrics of one set of embeddings, as a dict of numbers."""
    labels = np.asarray(labels)
    ranks = knn.ranks(embeddings, labels, query, metric=metric, ctx=ctx)
    found = ranks.positives > 0
    result = {
        'recall': {str(k): value for k, value in metrics.recall_from_ranks(ranks, ks).items()},
        'n_query': len(found), 'n_gallery': ranks.n_gallery, 'lone_queries': int((~found).sum()),
        'map_at_r': float(ranks.average_precision[found].mean()),
        'r_precision': float(ranks.r_precision[found].mean()),
        'mean_rank': float(ranks.best[found].mean() + 1),
    }
    if clustering:
        clusters = kmeans.cluster(embeddings, len(np.unique(labels)), clustering, seed)
        result.update(nmi_arithmetic=metrics.nmi(labels, clusters),
                      nmi_geometric=metrics.nmi(labels, clusters, 'geometric'),
                      f1=metrics.pairwise_f1(labels, clusters), ami=metrics.ami(labels, clusters))
    return result
