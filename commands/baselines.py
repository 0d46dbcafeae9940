"""What retrieval achieves before any training: the figures that a trained network must beat."""

import numpy as np

from datasets.loader import Loader, sequential
from engine import inference
from evaluation import protocols


def pixels(session, split, side=16):
    """float32 (N, side * side * 3): the pictures themselves, reduced by averaging to about `side` pixels."""
    rows = []
    for batch in Loader(split, session.test_transform, session.args.num_workers)(sequential(len(split), 256)):
        image = batch.image.astype(np.float32) / 255.0
        step = max(1, image.shape[1] // side)
        edge = image.shape[1] // step * step
        image = image[:, :edge, :edge].reshape(len(image), edge // step, step, edge // step, step, 3).mean(axis=(2, 4))
        rows.append(image.reshape(len(image), -1))
    return np.concatenate(rows)


def pooled(session, split):
    """float32 (N, F): the globally averaged last map of the trunk, that is the frozen network without our head."""
    features = inference.features(session.net, session.loader(split), session.args.test_batch_size, session.ctx[0])
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def score(session, split):
    """{name: {K: Recall@K}} of raw pixels, of the untrained embedding and of the trunk's pooled features."""
    sets = {'raw pixels': pixels(session, split), 'untrained network': session.embed(split),
            'frozen trunk, pooled features': pooled(session, split)}
    if not session.args.pretrained:
        del sets['frozen trunk, pooled features']
    return {name: protocols.retrieval(rows, split.labels, session.args.recallk, query=split.query)['recall']
            for name, rows in sets.items()}
