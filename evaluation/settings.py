"""Names, labels and titles that flags, tables and pages share. It imports nothing that takes time to load."""

from collections import namedtuple

METRICS = ('euclidean', 'cosine', 'dot')    # what nearest means; the score of each: evaluation.neighbours.scores

Setting = namedtuple('Setting', 'library n_init iterations random_state')
Setting.__doc__ = """A way to run k-means; random_state None takes the seed of the run."""

# The originals all used scikit-learn's KMeans (k-means++, 300 iterations at most).
# DIFFERS: fast_kmeans, which Heated-Up Softmax uses for Stanford Online Products, runs on faiss: scikit-learn needs
# hours for 11,316 clusters. It is one initialisation in both.
CLUSTERING = {
    'fast': Setting('faiss', 1, 20, None),
    'heated_up': Setting('sklearn', 10, 300, None),
    'fast_kmeans': Setting('faiss', 1, 20, None),
    'deep_embedding': Setting('sklearn', 10, 300, None),
    'local_sampling': Setting('sklearn', 20, 300, 0),
}

# How the epoch of a number was chosen; every number carries one of these labels, as keys of result.json's `selection`.
RULES = {'last': 'last epoch', 'best_on_test': "best on test (the papers' habit)",
         'chosen_on_validation': 'chosen on validation', 'evaluated': 'as given'}

# key of result.json -> title, in the order of the tables
TITLES = {'map_at_r': 'MAP@R', 'r_precision': 'R-precision', 'mean_rank': 'mean rank', 'accuracy': 'accuracy',
          'macro_accuracy': 'macro accuracy', 'accuracy_se': 'standard error of accuracy',
          'auc': 'area under the ROC curve', 'nmi_arithmetic': 'NMI (arithmetic mean)',
          'nmi_geometric': 'NMI (geometric mean)', 'f1': 'pairwise F1', 'ami': 'adjusted mutual information'}
SHORT = {'nmi_arithmetic': 'NMI (arithmetic)', 'nmi_geometric': 'NMI (geometric)', 'f1': 'F1', 'ami': 'AMI',
         'auc': 'AUC'}    # for the head of a column


def metric_title(name: str, short: bool = False) -> str:
    """How a metric is called.

    Parameters
    ----------
    name : key of result.json, 'recall@K' or 'precision@K'
    short : for the head of a column

    Example
    -------
    >>> metric_title('recall@10'), metric_title('recall@10', short=True), metric_title('f1', short=True)
    ('Recall@10', 'R@10', 'F1')
    """
    if '@' in name:
        kind, k = name.split('@')
        return f'{kind[0].upper() if short else kind.capitalize()}@{k}'
    title = SHORT.get(name) if short else None
    return title or TITLES.get(name, name)
