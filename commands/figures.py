"""Which figures a run gets, and when."""

import os

import cv2
import numpy as np

from core.files import read_log
from datasets.pictures import read_image
from evaluation import plots
from evaluation.neighbours import search as knn

PANELS = ('best', 'worst', 'random')


def epoch(session, run, number, embeddings):
    """After an evaluation: distribution map every --display_step epochs, statistics that the paper logs.

    session : commands.session.Session
    embeddings : (N, D) of the test set
    """
    args = session.args
    if not args.draw or number % args.display_step:
        return
    weights = class_weights(session)
    if embeddings.shape[1] in (2, 3):
        name = run.folder / 'figures' / f'test_epoch{number:03d}'
        plots.distribution_map(embeddings, session.data.test.labels, weights, str(name), names=session.data.test.names)
        show(run.board, 'distribution_map', name.with_suffix('.png'), number)
        if not getattr(args, 'l2_norm', False):
            raw = run.folder / 'figures' / f'test_no_l2n_epoch{number:03d}'
            plots.distribution_map(embeddings, session.data.test.labels, weights, str(raw), normalise=False,
                                   names=session.data.test.names)


def class_weights(session):
    """Weights (C, D) of the test classes, or None: a classifier's classes are others unless they are trained on."""
    return session.criterion.class_weights() if session.data.protocol == 'classification' else None


def show(board, tag, file, step):
    """Put a PNG file into TensorBoard."""
    image = cv2.imread(str(file))
    if image is not None:
        board.add_image(tag, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), step, dataformats='HWC')


def end(session, run, embeddings, before):
    """At the end of training: recall and loss curves, and what `of_test` draws; also into TensorBoard."""
    log, folder = read_log(run.folder / 'log.jsonl'), run.folder / 'figures'
    first = session.args.recallk[0]
    if any('recall' in line for line in log):
        levels = {name: recall[str(first)] for name, recall in before.items()}
        plots.recall_curves({session.args.loss: log}, str(folder / 'recall_curves'), k=first, baselines=levels)
    if log:
        plots.loss_curve({session.args.loss: log}, str(folder / 'loss_curve'))
    if embeddings is None:
        return
    of_test(session, folder, embeddings)
    step = log[-1].get('step', 0) if log else 0
    for name in ['recall_curves', 'similarity_histogram', 'tsne'] + ['retrieval_panel_' + which for which in PANELS]:
        show(run.board, name, folder / (name + '.png'), step)
    split = session.data.test
    plots.write_projector(run.board, embeddings, split.labels, thumbnails(session, split), split.names, step=step,
                          max_points=1000)


def thumbnails(session, split):
    """read_image of the pictures as the network sees them."""
    def read(i):
        return session.test_transform(split.read(i), np.random.RandomState(0))
    return read


def of_test(session, folder, embeddings):
    """What `of_embeddings` draws of the test images, and the confusion matrix where there is one."""
    split = session.data.test
    of_embeddings(session.args, folder, embeddings, split.labels, split.query, split.names, thumbnails(session, split),
                  class_weights(session))
    if session.confusion is not None:
        plots.confusion_matrix(session.confusion, split.names, str(folder / 'confusion_matrix'))


def of_file(args, folder, loaded):
    """What `of_embeddings` draws of Embeddings from a file; pictures only if all of its paths lead to some."""
    names, labels = np.unique(loaded.labels, return_inverse=True)
    pictures = loaded.paths is not None and all(os.path.isfile(path) for path in loaded.paths)
    of_embeddings(args, folder, loaded.embeddings, labels, loaded.query, [str(name) for name in names],
                  (lambda i: read_image(loaded.paths[i])) if pictures else None)


def of_embeddings(args, folder, embeddings, labels, query=None, names=None, read=None, weights=None):
    """t-SNE and similarity histogram of embeddings (N, D), the distribution map if D is 2 or 3; with pictures also
    retrieval panels and t-SNE as thumbnails.

    labels : int (N,), numbers of `names`
    query : None or bool (N,)
    read : None or function i -> uint8 (H, W, 3)
    weights : None or (C, D) class weights
    """
    plots.similarity_histogram(embeddings, labels, str(folder / 'similarity_histogram'), seed=args.seed)
    if embeddings.shape[1] in (2, 3):
        plots.distribution_map(embeddings, labels, weights, str(folder / 'distribution_map'), names=names)
    if read is not None:
        lists, _ = knn.neighbours(embeddings, min(4, knn.most_neighbours(len(labels), query)), query=query,
                                  metric=args.metric)
        rows = None if query is None else np.flatnonzero(query)
        for which in PANELS:
            plots.retrieval_panel(read, lists, labels, str(folder / ('retrieval_panel_' + which)),
                                  which=which, names=names, queries=rows, seed=args.seed)
    print(f'drawing t-SNE of {min(args.tsne_points, len(labels)):,} embeddings ...', flush=True)
    points = plots.tsne(embeddings, labels, str(folder / 'tsne'), names=names, max_points=args.tsne_points,
                        seed=args.seed)
    if read is not None:
        plots.tsne_thumbnails(points, read, str(folder / 'tsne_thumbnails'), labels=labels)
