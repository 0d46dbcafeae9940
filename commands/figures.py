"""Which figures a run gets, and when."""

import os

import numpy as np

from core.lazy import lazy
from core.text import count
from datasets.pictures import read_image
from evaluation import plots
from evaluation.neighbours import search

cv2 = lazy('cv2')

PANELS = ('best', 'worst', 'random')


def epoch(folder, board, number, embeddings, test, weights=None, raw=True):
    """Distribution maps of an epoch, if the embeddings have two or three dimensions.

    Parameters
    ----------
    folder : Path of the figures
    board : tensorboardX writer
    number : epoch
    embeddings : (N, D) of the test set
    test : its Split
    weights : None or (C, D) class weights
    raw : also draw embeddings and weights at their own lengths
    """
    if embeddings.shape[1] not in (2, 3):
        return
    name = folder / f'test_epoch{number:03d}'
    plots.distribution_map(embeddings, test.labels, weights, str(name), names=test.names)
    show(board, 'distribution_map', name.with_suffix('.png'), number)
    if raw:
        plots.distribution_map(embeddings, test.labels, weights, str(folder / f'test_no_l2n_epoch{number:03d}'),
                               normalise=False, names=test.names)


def show(board, tag, file, step):
    """Put a PNG file into TensorBoard."""
    image = cv2.imread(str(file))
    if image is not None:
        board.add_image(tag, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), step, dataformats='HWC')


def curves(folder, name, log, k, before):
    """Recall and loss over a run.

    Parameters
    ----------
    folder : Path of the figures
    name : of the run in the legend
    log : list of dicts, the lines of log.jsonl
    k : K of the recall curve
    before : {name: {K as text: recall}} of what was measured before training
    """
    if any('recall' in line for line in log):
        levels = {name: recall[str(k)] for name, recall in before.items()}
        plots.recall_curves({name: log}, str(folder / 'recall_curves'), k=k, baselines=levels)
    if log:
        plots.loss_curve({name: log}, str(folder / 'loss_curve'))


def to_board(board, folder, step, embeddings, split, read):
    """Put the figures of a folder into TensorBoard, and the embeddings (N, D) of a Split into its projector."""
    for name in ['recall_curves', 'similarity_histogram', 'tsne'] + ['retrieval_panel_' + which for which in PANELS]:
        show(board, name, folder / (name + '.png'), step)
    plots.write_projector(board, embeddings, split.labels, read, split.names, step=step, max_points=1000)


def as_seen(split, transform):
    """read_image of the pictures of a Split as the network sees them."""
    def read(i):
        return transform(split.read(i), np.random.RandomState(0))
    return read


def of_file(folder, loaded, **options):
    """What `of_embeddings` draws of Embeddings from a file; pictures only if all of its paths lead to some."""
    names, labels = np.unique(loaded.labels, return_inverse=True)
    if loaded.names is not None:
        names = np.asarray(loaded.names)[np.unique(labels, return_index=True)[1]]
    pictures = loaded.paths is not None and all(os.path.isfile(path) for path in loaded.paths)
    of_embeddings(folder, loaded.embeddings, labels, loaded.query, [str(name) for name in names],
                  (lambda i: read_image(loaded.paths[i])) if pictures else None, **options)


def of_embeddings(folder, embeddings, labels, query=None, names=None, read=None, weights=None, confusion=None,
                  metric='euclidean', seed=0, tsne_points=10000):
    """t-SNE and similarity histogram of embeddings, the distribution map if there are 2 or 3 dimensions; with pictures
    also retrieval panels and t-SNE as thumbnails.

    Parameters
    ----------
    folder : Path to write to
    embeddings : (N, D)
    labels : int (N,), numbers of `names`
    query : None or bool (N,)
    names : None or list of C str
    read : None or function i -> uint8 (H, W, 3)
    weights : None or (C, D) class weights
    confusion : None or confusion matrix (C, C)
    metric : what nearest means on the panels
    seed : of the queries shown and of t-SNE
    tsne_points : at most so many rows on the map
    """
    plots.similarity_histogram(embeddings, labels, str(folder / 'similarity_histogram'), seed=seed)
    if embeddings.shape[1] in (2, 3):
        plots.distribution_map(embeddings, labels, weights, str(folder / 'distribution_map'), names=names)
    if read is not None:
        lists, _ = search.neighbours(embeddings, min(4, search.most_neighbours(len(labels), query)), query=query,
                                     metric=metric)
        rows = None if query is None else np.flatnonzero(query)
        for which in PANELS:
            plots.retrieval_panel(read, lists, labels, str(folder / ('retrieval_panel_' + which)),
                                  which=which, names=names, queries=rows, seed=seed)
    print(f'drawing t-SNE of {count(min(tsne_points, len(labels)), "embedding")} ...', flush=True)
    points = plots.tsne(embeddings, labels, str(folder / 'tsne'), names=names, max_points=tsne_points, seed=seed)
    if read is not None:
        plots.tsne_thumbnails(points, read, str(folder / 'tsne_thumbnails'), labels=labels)
    if confusion is not None:
        plots.confusion_matrix(confusion, names, str(folder / 'confusion_matrix'))
