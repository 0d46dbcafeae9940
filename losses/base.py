"""The contract between a loss and the training loop, which knows nothing else of a paper."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from core.contracts import Batch, Out, Tensor
from core.errors import UserError
from core.gluon_internals import forget_trace, has_data, named_parameters
from core.runtime import gluon, nd


class Criterion:
    """loss = criterion(out, batch): NDArray of shape (1,) or (n,); the loop back-propagates its sum.

    Class attributes
    ----------------
    sampler : name of the paper's batch construction; --sampler overrides it
    samplers : names of the samplers that make sense with this loss; others are refused when built
    sampler_reason : why the others make no sense, one sentence for the error message
    head : the head of models/heads.py that the paper puts on the trunk
    feature : what Out.feature holds: None, 'pooled' (n, F), 'map' (n, F, H, W)
    warm_up : True: before the first epoch one forward pass over the training set in train mode, without an update,
        so that the BatchNorm statistics move to the data
    """

    sampler = 'pk'
    samplers = ('pk', 'pk_ee', 'random')
    sampler_reason = 'its batches would not hold the pairs that the loss is made of.'
    head = 'l2'
    feature = None
    warm_up = False
    draws = False    # whether the equation draws from MXNet's random stream; NumPy's is set for every step

    num_classes = None    # classes that the loss has parameters for, None: it has none
    batch_size = None    # images in the batch: a constant of the traced graph, for operators that need a size

    def __new__(cls, *args, **kwargs):
        """The class joined with gluon.HybridBlock: a criterion is a block, but its flags are read without MXNet."""
        return object.__new__(_block(cls))

    def __call__(self, out, batch):
        self.check_labels(batch.label)
        inputs = self.inputs(out, batch)
        if self.batch_size != batch.label.shape[0]:
            self.batch_size = batch.label.shape[0]
            forget_trace(self)    # hybridized: another batch size is traced anew
        return super().__call__(*inputs)

    @staticmethod
    def add_args(group: Any) -> None:
        """Add the paper's own flags under their original names."""

    @classmethod
    def from_args(cls, args: Any, num_classes: int) -> Criterion:
        """Build from parsed flags: the only place that sees args. num_classes is that of the training set."""
        return cls()

    @staticmethod
    def check_args(args: Any) -> None:
        """Raise UserError for flags that do not fit each other; asked before anything is built, also by --dry_run."""

    @staticmethod
    def notes(args: Any) -> list[str]:
        """Sentences that main.py prints before training, such as a given flag that this loss does not read."""
        return []

    def of(self, embedding, label, feature=None, extra=None) -> Tensor:
        """The loss of arrays, outside a training loop; parameters that the loss owns are initialised if need be.

        Parameters
        ----------
        embedding : array-like (n, D)
        label : array-like int (n,)
        feature : array-like, as the class attribute `feature` says
        extra : array-like, what the sampler would have promised

        Returns
        -------
        NDArray (1,) or (n,)
        """
        if not any(map(has_data, named_parameters(self).values())):
            self.initialize()
        feature = None if feature is None else nd.array(feature)
        return self(Out(nd.array(embedding), feature), Batch(None, nd.array(label, dtype='int32'), None, extra))

    def check_labels(self, label: Tensor) -> None:
        """Raise UserError for a label that the loss has no weights for; MXNet would take those of the last class.

        Asked of a CPU alone: a GPU would have to be waited for at every step.
        """
        if self.num_classes and label.context.device_type == 'cpu':
            label = label.asnumpy()
            if label.max() >= self.num_classes or label.min() < 0:
                wrong = int(label.max() if label.max() >= self.num_classes else label.min())
                raise UserError(f'a batch has the label {wrong}, but the loss was built for num_classes='
                                f'{self.num_classes}, labels 0 to {self.num_classes - 1}. Fix: num_classes={wrong + 1} '
                                'or more, or labels from 0 on')

    @staticmethod
    def needs_negatives(args: Any) -> bool:
        """Whether a batch of one class teaches this loss nothing, or something wrong; such batches are refused."""
        return True

    def inputs(self, out: Out, batch: Batch) -> tuple:
        """Choose the tensors of the equation; indices may be mined here, outside the gradient."""
        return out.embedding, batch.label

    def step_size(self, n: int) -> int:
        """What the original passed to Trainer.step for a batch of n images (the gradient is divided by it)."""
        return 1

    def own_optimizer(self) -> tuple[str, dict] | None:
        """(optimizer, its arguments) for the criterion's own parameters, or None to use the network's."""
        return None

    def init_from(self, embed_fn: Callable[[], np.ndarray], labels: np.ndarray) -> None:
        """Called once before the first epoch (after the warm-up). embed_fn() -> float32 (N, D) embeddings of the
        training set, whose labels are `labels` (N,); it costs a pass, so call it only if needed."""

    def on_progress(self, epoch: int, epochs: int) -> float:
        """Called before epoch `epoch` (from 0). Schedules write Parameters, never attributes.

        Returns the factor on the learning rate that the schedule of this loss asks for in this epoch (1 = unchanged).
        """
        return 1.0

    def after_step(self) -> None:
        """State without a gradient (centers) moves here, after the optimizers."""

    def pending(self):
        """{name: NDArray} of what after_step still needs from batches since the last step, for a checkpoint."""
        return {}

    def restore_pending(self, arrays):
        """Go on from pending()."""

    def stats(self) -> dict[str, float]:
        """Scalars for the log, such as {'beta/mean': 1.2}."""
        return {}

    def epoch_stats(self, embeddings: np.ndarray, labels: np.ndarray, num_classes: int) -> dict[str, dict]:
        """Statistics of all training embeddings (N, D) for TensorBoard: {'scalars': {name: number}, 'histograms':
        {name: array}}, or {} when the paper logs none (then the loop need not embed the training set)."""
        return {}

    def class_weights(self) -> np.ndarray | None:
        """Float32 (C, D) weights of the classes for pictures, or None when the loss has none."""
        return None

    def logits(self, out: Out) -> Tensor | None:
        """Scores (n, C) of the criterion's own classifier, on which accuracy is measured, or None without one."""
        return None

    @property
    def classifies(self) -> bool:
        """Whether this criterion has a classifier, that is defines `logits`."""
        return type(self).logits is not Criterion.logits


@functools.cache
def _block(cls):
    """The class that `cls(...)` builds: what cls says first, then what gluon.HybridBlock does."""
    if issubclass(cls, gluon.HybridBlock):
        return cls
    return type(cls.__name__, (cls, gluon.HybridBlock), {'__module__': cls.__module__, '__doc__': cls.__doc__})
