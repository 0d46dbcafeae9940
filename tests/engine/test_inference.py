"""The one forward loop."""

import types

import numpy as np
import pytest

from core.contracts import Out
from core.errors import UserError
from datasets.loader import Loader
from datasets.records import Split
from engine import inference


def loader(n=7, workers=0):
    split = Split(np.arange(n) % 3, None, reader=lambda i: np.full((4, 4, 3), i, dtype=np.uint8))
    return Loader(split, lambda image, rng: image, workers)


class Net:
    """Embeds a picture as the mean of its channels, and pools its corner."""

    def __call__(self, image):
        return Out(image.astype('float32').mean(axis=(1, 2)), None)

    def pooled(self, image):
        return image.astype('float32')[:, 0, 0, :2]


@pytest.mark.parametrize('workers', [0, 2])
def test_embeddings_keep_the_order_of_the_split(workers):
    x = inference.embeddings(Net(), loader(workers=workers), batch_size=3)
    assert x.dtype == np.float32 and x.tolist() == [[i] * 3 for i in range(7)]


def test_features_and_logits_go_through_the_same_loop():
    assert inference.features(Net(), loader(), 3).tolist() == [[i] * 2 for i in range(7)]
    criterion = types.SimpleNamespace(logits=lambda out: out.embedding[:, :1] * 2)
    embeddings, scores = inference.logits(Net(), criterion, loader(), 3)
    assert embeddings.tolist() == [[i] * 3 for i in range(7)] and scores.tolist() == [[2 * i] for i in range(7)]


def test_a_split_without_images_is_an_error():
    with pytest.raises(UserError, match='no image to embed'):
        inference.embeddings(Net(), loader(0))
