"""Which figures a run gets, and when."""

import cv2
import numpy as np

from engine.run import read_log
from evaluation import knn, plots

PANELS = ('best', 'worst', 'random')


def epoch(job, run, number, embeddings):
    """After an evaluation: distribution map every --display_step epochs, statistics that the paper logs.

    job : engine.jobs.Job
    embeddings : (N, D) of the test set
    """
    args = job.args
    if not args.draw or number % args.display_step:
        return
    weights = job.criterion.class_weights()
    if embeddings.shape[1] in (2, 3):
        name = run.folder / 'figures' / 'test_epoch{:03d}'.format(number)
        plots.distribution_map(embeddings, job.data.test.labels, weights, str(name), names=job.data.test.names)
        show(run.board, 'distribution_map', name.with_suffix('.png'), number)
        if not getattr(args, 'l2_norm', False):
            raw = run.folder / 'figures' / 'test_no_l2n_epoch{:03d}'.format(number)
            plots.distribution_map(embeddings, job.data.test.labels, weights, str(raw), normalise=False,
                                   names=job.data.test.names)


def show(board, tag, file, step):
    """Put a PNG file into TensorBoard."""
    image = cv2.imread(str(file))
    if image is not None:
        board.add_image(tag, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), step, dataformats='HWC')


def end(job, run, embeddings, before):
    """At the end of training: recall and loss curves, and what `of_embeddings` draws; also into TensorBoard."""
    log, folder = read_log(run.folder), run.folder / 'figures'
    first = job.args.recallk[0]
    if any('recall' in line for line in log):
        levels = {name: recall[str(first)] for name, recall in before.items()}
        plots.recall_curves({job.args.loss: log}, str(folder / 'recall_curves'), k=first, baselines=levels)
    if log:
        plots.loss_curve({job.args.loss: log}, str(folder / 'loss_curve'))
    if embeddings is None:
        return
    of_embeddings(job, folder, embeddings)
    step = log[-1].get('step', 0) if log else 0
    for name in ['recall_curves', 'similarity_histogram', 'tsne'] + ['retrieval_panel_' + which for which in PANELS]:
        show(run.board, name, folder / (name + '.png'), step)
    split = job.data.test
    plots.write_projector(run.board, embeddings, split.labels, thumbnails(job, split), split.names, step=step,
                          max_points=1000)


def thumbnails(job, split):
    """read_image of the pictures as the network sees them."""
    def read(i):
        return job.test_transform(split.read(i), np.random.RandomState(0))
    return read


def of_embeddings(job, folder, embeddings):
    """Retrieval panels, t-SNE as colours and as thumbnails, similarity histogram of the test embeddings (N, D)."""
    split, seed = job.data.test, job.args.seed
    read = thumbnails(job, split)
    lists, _ = knn.neighbours(embeddings, 4, query=split.query, metric=job.args.metric)
    rows = None if split.query is None else np.flatnonzero(split.query)
    for which in PANELS:
        plots.retrieval_panel(read, lists, split.labels, str(folder / ('retrieval_panel_' + which)),
                              which=which, names=split.names, queries=rows, seed=seed)
    points = plots.tsne(embeddings, split.labels, str(folder / 'tsne'), names=split.names,
                        max_points=job.args.tsne_points, seed=seed)
    plots.tsne_thumbnails(points, read, str(folder / 'tsne_thumbnails'), labels=split.labels)
    plots.similarity_histogram(embeddings, split.labels, str(folder / 'similarity_histogram'), seed=seed)
    if job.confusion is not None:
        plots.confusion_matrix(job.confusion, split.names, str(folder / 'confusion_matrix'))

