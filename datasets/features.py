"""A loader of rows that were computed before, in the place of one that reads pictures."""

import numpy as np

from core.contracts import Batch


class FeatureLoader:
    """Calling it with plans iterates Batch(image float32 (n, F), label int32 (n,), index int64 (n,), extra).

    Parameters
    ----------
    split : datasets.records.Split
    features : float32 (N, F), one row for each image of the split
    share : as in datasets.loader.Loader
    """

    wait_seconds = 0.0

    def __init__(self, split, features, share=None):
        self.split, self.features, self.share = split, features, share

    def __call__(self, plans):
        for plan in plans:
            index = np.array(plan.index, dtype=np.int64)
            own = slice(0, len(index)) if self.share is None else self.share(len(index))
            extra = plan.extra() if callable(plan.extra) else plan.extra
            yield Batch(self.features[index[own]], self.split.labels[index].astype(np.int32), index, extra)
