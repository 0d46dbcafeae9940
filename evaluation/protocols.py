"""What is measured and how: the one protocol of all papers."""

import json
import pathlib

import numpy as np

from core.errors import UserError
from core.flags import boolean, ints
from evaluation import clustering as kmeans
from evaluation import metrics
from evaluation.embeddings import load_embeddings
from evaluation.neighbours import search as knn
from evaluation.neighbours.scores import METRICS


def add_args(group):
    """Declare the evaluation flags."""
    group.add_argument('--recallk', type=ints, default=[1, 2, 4, 8], help='K of Recall@K, comma separated')
    group.add_argument('--metric', choices=tuple(METRICS), default='euclidean', help='what nearest means')
    group.add_argument('--nmi', type=boolean, nargs='?', const=True, default=False,
                       help='cluster at every evaluation and report NMI, F1 and AMI')
    group.add_argument('--clustering', choices=tuple(kmeans.SETTINGS), default='fast',
                       help='k-means setting: fast, or that of an original')


def _some(rows):
    shown = ', '.join(map(str, rows[:10]))
    return f'{shown} ({len(rows)} in all)' if len(rows) > 10 else shown


def check_embeddings(embeddings, labels, metric='euclidean'):
    """Warnings (list of str) about embeddings (N, D) of labels (N,); UserError if they are unusable."""
    embeddings, labels = np.asarray(embeddings), np.asarray(labels)
    if embeddings.ndim != 2 or not embeddings.size:
        raise UserError(f'embeddings have shape {embeddings.shape}, expected (N, D)')
    if labels.shape != (len(embeddings),):
        raise UserError(f'{len(embeddings)} embeddings but labels of shape {labels.shape}: there must be one label '
                        'for each')
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(bad):
        raise UserError(f'embeddings hold NaN or infinite numbers in rows {_some(bad)}')
    zero = np.flatnonzero(~embeddings.any(axis=1))
    if len(zero) and metric == 'cosine':
        raise UserError(f'--metric=cosine is undefined for zero vectors, rows {_some(zero)}. Fix: --metric=euclidean')
    return [f'zero vectors in rows {_some(zero)}'] if len(zero) else []


def check_labels(labels, ks, query=None):
    """Warnings (list of str) about labels (N,), query None or bool (N,); UserError if no Recall@K can follow."""
    values, number = np.unique(labels, return_inverse=True)
    if len(values) < 2:
        raise UserError(f'all {len(number)} items have the label {values[0]}: retrieval needs at least two classes')
    metrics.check_ks(ks, knn.most_neighbours(len(number), query))
    queries, galleries, own = knn.parts(len(number), query)
    positives = np.bincount(number[galleries], minlength=len(values))[number[queries]] - (own >= 0)
    lone, where = int((positives == 0).sum()), '' if query is None else ' in the gallery'
    if lone == len(queries):
        raise UserError(f'no query has another item of its class{where}: nothing can be retrieved')
    if lone:
        return [f'{lone} of {len(queries)} queries have no other item of their class{where}; Recall@K counts them as '
                'misses, the other '
                'metrics leave them out']
    return []


def retrieval(embeddings, labels, ks, query=None, metric='euclidean', clustering=None, seed=0, extended=False,
              ctx=None):
    """Retrieval metrics of one set of embeddings.

    Parameters
    ----------
    embeddings : float32 (N, D); labels : (N,)
    ks : K of Recall@K, each from 1 to the size of the gallery
    query : None: every item is searched in all others; bool (N,): True items are searched in the False ones
    metric : 'euclidean', 'cosine' or 'dot'; ties and the removal of the query itself: see evaluation.neighbours.search
    clustering : None, or a setting of evaluation.clustering: adds NMI, F1 and AMI of k-means with k = classes
    extended : also Precision@K
    ctx : MXNet context of the products

    Returns
    -------
    dict: recall {str(K): value}, map_at_r, r_precision, mean_rank (of the nearest positive, from 1), lone_queries (no
    positive: misses for Recall@K as in the originals, left out of the others), n_query, n_gallery, metric, warnings
    """
    labels = np.asarray(labels)
    warnings = check_embeddings(embeddings, labels, metric) + check_labels(labels, ks, query)
    ks = [int(k) for k in ks]
    ranks = knn.ranks(embeddings, labels, query, metric=metric, ctx=ctx)
    found = ranks.positives > 0
    result = {
        'recall': {str(k): value for k, value in metrics.recall_from_ranks(ranks, ks).items()},
        'map_at_r': float(ranks.average_precision[found].mean()),
        'r_precision': float(ranks.r_precision[found].mean()),
        'mean_rank': float(ranks.best[found].mean() + 1),
        'n_query': len(found), 'n_gallery': ranks.n_gallery, 'lone_queries': int((~found).sum()),
        'metric': metric, 'warnings': warnings,
    }
    if extended:
        precision = metrics.precision_at_k(embeddings, labels, ks, query, metric=metric, ctx=ctx)
        result['precision'] = {str(k): value for k, value in precision.items()}
    if clustering:
        clusters = kmeans.cluster(embeddings, len(np.unique(labels)), clustering, seed, ctx)
        result.update(metrics.clustering(labels, clusters), clustering=clustering)
    return result


def classification(logits, labels):
    """{'accuracy', 'macro_accuracy', 'n', 'num_classes'} of logits (N, C) or predicted classes (N,), labels (N,)."""
    logits = np.asarray(logits)
    if logits.ndim == 2 and not np.isfinite(logits).all():
        raise UserError(f'logits hold NaN or infinite numbers in rows '
                        f'{_some(np.flatnonzero(~np.isfinite(logits).all(axis=1)))}')
    confusion = metrics.confusion_matrix(labels, logits.argmax(axis=1) if logits.ndim == 2 else logits,
                                         logits.shape[1] if logits.ndim == 2 else None)
    return {'accuracy': metrics.accuracy(confusion), 'macro_accuracy': metrics.macro_accuracy(confusion),
            'n': int(confusion.sum()), 'num_classes': len(confusion)}


NAMES = {'map_at_r': 'MAP@R', 'r_precision': 'R-precision', 'mean_rank': 'mean rank', 'accuracy': 'accuracy',
         'macro_accuracy': 'macro accuracy',
         'accuracy_se': 'standard error of accuracy', 'auc': 'area under the ROC curve',
         'nmi_arithmetic': 'NMI (arithmetic mean)', 'nmi_geometric': 'NMI (geometric mean)',
         'f1': 'pairwise F1', 'ami': 'adjusted mutual information'}


def table(result):
    """The numbers of a result as lines of text."""
    lines = ['{} queries, {} gallery items each, {}'.format(
        result['n_query'], result['n_gallery'], result['metric'])] if 'n_query' in result else []
    rows = [('Recall@' + k, value) for k, value in result.get('recall', {}).items()]
    rows += [('Precision@' + k, value) for k, value in result.get('precision', {}).items()]
    rows += [(name, result[key]) for key, name in NAMES.items() if key in result]
    lines += [f'{name:<28} {value:10.4f}' for name, value in rows]
    return '\n'.join(lines + ['note: ' + text for text in result.get('warnings', [])])


# How the epoch of a number was chosen; every number carries one of these labels, as keys of result.json's `selection`.
RULES = {'last': 'last epoch', 'best_on_test': "best on test (the papers' habit)",
         'chosen_on_validation': 'chosen on validation', 'evaluated': 'as given'}


def result_folder(folder):
    """Path of a folder for a result; UserError if it is a training run's, whose result would be lost."""
    folder = pathlib.Path(folder)
    if (folder / 'log.jsonl').exists():
        raise UserError(f'--save_dir={folder} holds the result of a training run. Fix: --save_dir={folder}/evaluation')
    return folder


def write_result(folder, result, rule):
    """result.json of one evaluation: `result`, its numbers once more under `selection` and the rule's label."""
    kept = {key: result[key] for key in ('recall', 'precision', 'epoch', *NAMES) if key in result}
    result = dict(result, selection=dict(dict.fromkeys(('last', 'best_on_test', 'chosen_on_validation')),
                                         **{rule: kept}), label=RULES[rule])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / 'result.json.new'
        aside.write_text(json.dumps(result, indent=1, sort_keys=True, default=str) + '\n')
        aside.replace(folder / 'result.json')
    except OSError as error:
        raise UserError(f'--save_dir={folder}: cannot write there ({error.strerror})') from error


def score_file(args):
    """`evaluate --embeddings=FILE.npz --recallk=.. --save_dir=DIR`: print a table, write DIR/result.json.

    Returns (the loaded Embeddings, the folder). Without --save_dir, that is FILE_evaluation beside the file.
    """
    file = pathlib.Path(args.embeddings)
    folder = result_folder(args.save_dir or file.with_name(file.stem + '_evaluation'))
    loaded = load_embeddings(file)
    result = retrieval(loaded.embeddings, loaded.labels, args.recallk, loaded.query, args.metric,
                       clustering=args.clustering if args.nmi else None, seed=args.seed, extended=True)
    print(table(result))
    write_result(folder, dict(result, embeddings=str(args.embeddings)), 'evaluated')
    return loaded, folder
