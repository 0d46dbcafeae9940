"""What retrieval achieves before any training: the figures that a trained network must beat."""

import numpy as np

from core.normalize import unit_rows
from datasets.loader import sequential
from engine import inference
from evaluation import protocols


def pixels(loader, side=16):
    """float32 (N, side * side * 3): the pictures themselves, reduced by averaging to about `side` pixels.

    Parameters
    ----------
    loader : datasets.loader.Loader of the split, with the transform of evaluation
    side : pixels
    """
    rows = []
    for batch in loader(sequential(len(loader.split), 256)):
        image = batch.image.astype(np.float32) / 255.0
        step = max(1, image.shape[1] // side)
        edge = image.shape[1] // step * step
        image = image[:, :edge, :edge].reshape(len(image), edge // step, step, edge // step, step, 3).mean(axis=(2, 4))
        rows.append(image.reshape(len(image), -1))
    return np.concatenate(rows)


def pooled(net, loader, batch_size, ctx):
    """float32 (N, F): the globally averaged last map of the trunk, that is the frozen network without our head.

    Parameters
    ----------
    net : EmbeddingNet
    loader : datasets.loader.Loader of the split
    batch_size : images at a time
    ctx : MXNet context
    """
    return unit_rows(inference.features(net, loader, batch_size, ctx))


def score(sets, labels, ks, query=None):
    """{name: {K as text: Recall@K}} of {name: embeddings (N, D)} with labels (N,)."""
    return {name: protocols.retrieval(rows, labels, ks, query=query)['recall'] for name, rows in sets.items()}
