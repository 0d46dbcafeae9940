"""Learning-rate schedules. They keep no clock: the loop tells them where training is.

`multifactor_iteration`, `multifactor_epoch` and `poly` are the pure functions; the classes say at which Position they
are asked. What depends on the losses seen so far (Plateau, EarlyStopping) has a state that goes into checkpoints.
"""

import math
from collections import namedtuple

from core.errors import UserError, pick

Position = namedtuple('Position', 'iteration epoch step steps')
Position.__doc__ = """Where training is: iteration (from 0, over the whole run), epoch (from 0), step (from 0, within
the epoch), steps (of this epoch)."""


def multifactor_iteration(lr, factor, steps):
    """lr * factor ** (number of steps passed); a step is passed at the first iteration *greater* than it.

    Embedding Expansion: steps = --lr_decay_epochs times the iterations of an epoch, iterations counted from 0 over
    the whole training (mx.lr_scheduler.MultiFactorScheduler has the same off-by-one).
    """
    return lambda iteration: lr * math.prod(factor for step in steps if iteration > step)


def multifactor_epoch(lr, factor, steps):
    """lr * factor for every step <= epoch (margin loss of DeepEmbedding; asked at the start of the epoch)."""
    return lambda epoch: lr * math.prod(factor for step in steps if epoch >= step)


def poly(lr, end_lr, train_iters, power=1.0):
    """Linear decay from lr at iteration 0 to end_lr at train_iters, constant afterwards (Ranking Regularizer)."""
    def at(iteration):
        share = min(iteration, train_iters) / train_iters
        return (lr - end_lr) * (1.0 - share) ** power + end_lr
    return at


def check_epochs(start_epoch, epochs):
    """UserError unless there is an epoch to train."""
    if start_epoch >= epochs:
        raise UserError(f'--start_epoch={start_epoch} leaves nothing to train: training ends before epoch '
                        f'--epochs={epochs}. Fix: a larger --epochs')


class Schedule:
    """The same learning rate everywhere, and the interface of all schedules.

    Parameters
    ----------
    lr : learning rate at the start
    factor, decay_epochs : of the multifactor schedules; factor also of plateau
    end_lr, train_iters, epochs : of poly, which ends after train_iters iterations or, where that is 0, after `epochs`
    patience : epochs, of plateau
    """

    def __init__(self, lr, *, factor=0.5, decay_epochs=(), end_lr=0.0, train_iters=0, epochs=1, patience=5):
        self.base, self.factor, self.decay_epochs, self.end_lr = lr, factor, tuple(decay_epochs), end_lr
        self.train_iters, self.epochs, self.patience = train_iters, epochs, patience

    def lr(self, position):
        """Learning rate of the iteration at a Position."""
        return self.base

    def after_epoch(self, loss):
        """Take the mean loss of an epoch that has ended."""

    def state(self):
        """What a checkpoint keeps: a dict that JSON can hold."""
        return {}

    def restore(self, state):
        """Go on from state()."""


class MultifactorIteration(Schedule):
    """See `multifactor_iteration`. Epochs may differ in length: the steps are passed in the second iteration of the
    epochs `decay_epochs`, whatever came before."""

    def lr(self, position):
        at = multifactor_iteration(self.base, self.factor, [epoch * position.steps for epoch in self.decay_epochs])
        return at(position.epoch * position.steps + position.step)


class MultifactorEpoch(Schedule):
    """See `multifactor_epoch`."""

    def lr(self, position):
        return multifactor_epoch(self.base, self.factor, self.decay_epochs)(position.epoch)


class Poly(Schedule):
    """See `poly`. Without train_iters the end is that of the last epoch, also where epochs differ in length."""

    def lr(self, position):
        if self.train_iters:
            return poly(self.base, self.end_lr, self.train_iters)(position.iteration)
        at = poly(self.base, self.end_lr, self.epochs * position.steps)
        return at(position.epoch * position.steps + position.step)


class Plateau(Schedule):
    """Multiply the rate by `factor` when the epoch loss has not improved for `patience` epochs (Local Sampling).

    An epoch improves when loss < best * (1 - threshold). After more than `patience` epochs in a row without
    improvement the rate falls and the counting starts again.
    """

    threshold = 1e-4

    def __init__(self, lr, **options):
        super().__init__(lr, **options)
        self.now, self.best, self.bad = lr, math.inf, 0

    def lr(self, position):
        return self.now

    def after_epoch(self, loss):
        if loss < self.best * (1.0 - self.threshold):
            self.best, self.bad = loss, 0
        else:
            self.bad += 1
        if self.bad > self.patience:
            self.now, self.bad = self.now * self.factor, 0

    def state(self):
        return {'lr': self.now, 'best': self.best, 'bad': self.bad}

    def restore(self, state):
        self.now, self.best, self.bad = state['lr'], state['best'], state['bad']


SCHEDULES = {'constant': Schedule, 'multifactor_iteration': MultifactorIteration,
             'multifactor_epoch': MultifactorEpoch, 'poly': Poly, 'plateau': Plateau}


def get_schedule(name, lr, **options):
    """The schedule `name` of SCHEDULES; `options` as Schedule takes them.

    Example
    -------
    >>> falling = get_schedule('poly', 0.1, end_lr=0.0, epochs=2)
    >>> [falling.lr(Position(i, i // 5, i % 5, 5)) for i in (0, 5)]
    [0.1, 0.05]
    """
    return pick('--lr_schedule', name, SCHEDULES)(lr, **options)


class EarlyStopping:
    """Stops training when the epoch loss has not improved for `patience` epochs (Local Sampling); 0: never."""

    def __init__(self, patience=15):
        self.patience, self.best, self.bad = patience, math.inf, 0

    def after_epoch(self, loss):
        """Take the epoch's loss; returns whether to stop."""
        if loss < self.best:
            self.best, self.bad = loss, 0
        else:
            self.bad += 1
        return self.reached

    @property
    def reached(self):
        """Whether to stop."""
        return 0 < self.patience <= self.bad

    def state(self):
        """What a checkpoint keeps: a dict that JSON can hold."""
        return {'best': self.best, 'bad': self.bad}

    def restore(self, state):
        """Go on from state()."""
        self.best, self.bad = state['best'], state['bad']


class Average:
    """Running mean of losses, weighted by batch size."""

    def __init__(self, total=0.0, weight=0):
        self.total, self.weight = total, weight

    def add(self, value, weight=1):
        """Take one value."""
        self.total += value * weight
        self.weight += weight
        return self.mean

    @property
    def mean(self):
        """The mean so far, 0 before the first value."""
        return self.total / self.weight if self.weight else 0.0
