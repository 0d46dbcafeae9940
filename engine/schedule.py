"""Learning-rate schedules. They keep no clock: the loop tells them the iteration and the epoch.

`multifactor_iteration`, `multifactor_epoch` and `poly` return pure functions of the position. `Plateau` and
`EarlyStopping` depend on the losses seen so far; their state is a plain dict that goes into checkpoints.
"""

import math

SCHEDULES = ('constant', 'multifactor_iteration', 'multifactor_epoch', 'poly', 'plateau')


def constant(lr):
    """The same learning rate everywhere."""
    return lambda position: lr


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


class Plateau:
    """Halve the learning rate when the epoch loss has not improved for `patience` epochs (Local Sampling).

    An epoch improves when loss < best * (1 - threshold). After more than `patience` epochs in a row without
    improvement, the learning rate is multiplied by `factor` and the counting starts again.
    """

    def __init__(self, lr, factor=0.5, patience=5, threshold=1e-4):
        self.lr, self.factor, self.patience, self.threshold = lr, factor, patience, threshold
        self.best, self.bad = math.inf, 0

    def after_epoch(self, loss):
        """Take the epoch's loss; returns the learning rate of the next epoch."""
        if loss < self.best * (1.0 - self.threshold):
            self.best, self.bad = loss, 0
        else:
            self.bad += 1
        if self.bad > self.patience:
            self.lr, self.bad = self.lr * self.factor, 0
        return self.lr

    def state(self):
        """JSON-ready state."""
        return {'lr': self.lr, 'best': self.best, 'bad': self.bad}

    def restore(self, state):
        """Continue from state()."""
        self.lr, self.best, self.bad = state['lr'], state['best'], state['bad']


class EarlyStopping:
    """True from the epoch on at which the loss has not improved for `patience` epochs (Local Sampling)."""

    def __init__(self, patience=15):
        self.patience, self.best, self.bad = patience, math.inf, 0

    def after_epoch(self, loss):
        """Take the epoch's loss; returns whether to stop."""
        if loss < self.best:
            self.best, self.bad = loss, 0
        else:
            self.bad += 1
        return self.bad >= self.patience

    def state(self):
        """JSON-ready state."""
        return {'best': self.best, 'bad': self.bad}

    def restore(self, state):
        """Continue from state()."""
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


class Schedule:
    """The learning rate of a run, as its flags ask for it.

    Parameters
    ----------
    args : parsed flags (lr, lr_schedule, lr_decay_epochs, lr_decay_factor, end_learning_rate, train_iters, patience)
    steps_per_epoch : int, iterations of one epoch
    """

    def __init__(self, args, steps_per_epoch):
        self.kind = args.lr_schedule
        self.plateau = Plateau(args.lr, args.lr_decay_factor, args.patience)
        if self.kind == 'multifactor_iteration':
            self.by_iteration = multifactor_iteration(
                args.lr, args.lr_decay_factor, [epoch * steps_per_epoch for epoch in args.lr_decay_epochs])
        elif self.kind == 'poly':
            self.by_iteration = poly(args.lr, args.end_learning_rate, args.train_iters or args.epochs * steps_per_epoch)
        elif self.kind == 'multifactor_epoch':
            self.by_epoch = multifactor_epoch(args.lr, args.lr_decay_factor, args.lr_decay_epochs)
        else:
            self.by_iteration = constant(args.lr)

    def lr(self, iteration, epoch):
        """Learning rate of this iteration (from 0 over the whole run) of this epoch (from 0)."""
        if self.kind == 'plateau':
            return self.plateau.lr
        return self.by_epoch(epoch) if self.kind == 'multifactor_epoch' else self.by_iteration(iteration)

    def after_epoch(self, loss):
        """Take the epoch's mean loss."""
        if self.kind == 'plateau':
            self.plateau.after_epoch(loss)
