"""From a picture to the vector that an index holds: the view, the network and, for a trunk alone, the length one."""

import numpy as np

from core.normalize import unit_rows
from datasets.views import picture


class Encoder:
    """What an index, its searches and the service embed with.

    Parameters
    ----------
    engine : of serving.engines: dim, image_size, model_hash, view, forward
    unit : True scales vectors to length one; None: those of a trunk alone, which no metric was learned for

    Attributes
    ----------
    dim, image_size : of the engine
    model : str, the same for vectors that may be compared
    """

    def __init__(self, engine, unit=None):
        self.engine, self.unit = engine, engine.head == 'pooled' if unit is None else unit
        self.dim, self.image_size = engine.dim, engine.image_size
        self.model = engine.model_hash + ('-unit' if self.unit else '')

    def view(self, image):
        """uint8 (H, W, 3) of any size -> uint8 (S, S, 3), what the network sees of it."""
        rng = np.random.RandomState(0)          # test views draw nothing that they use
        shared = (self.engine.view.draw_batch(rng),) if hasattr(self.engine.view, 'draw_batch') else ()
        return self.engine.view(picture(image), rng, *shared)

    def forward(self, batch):
        """uint8 (n, S, S, 3) -> float32 (n, D)."""
        vectors = np.asarray(self.engine.forward(np.ascontiguousarray(batch)), np.float32)
        if self.unit:
            vectors = unit_rows(vectors)
        return vectors

    def embed(self, images):
        """list of uint8 (H, W, 3) -> float32 (n, D)."""
        return self.forward(np.stack([self.view(image) for image in images]))
