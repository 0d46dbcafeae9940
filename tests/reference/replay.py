"""A recorded trajectory run again by the suite's own Trainer: what stands for data, trunk and sampler, the check."""

import contextlib
import io
import json
import pathlib
import re
import tempfile

import numpy as np

import recipes
from core.contracts import Batch, Plan
from core.files import read_log
from core.gluon_internals import has_data
from core.runtime import autograd, gluon, nd
from engine import inference, optimizers
from engine.run import Run
from engine.trainer import Trainer
from losses.margin import Margin
from models.embedding import EmbeddingNet
from models.heads import get_head
from models.preprocessing import Preprocessing
from models.trunk import Backbone, Trunk

SNAPSHOTS = (10, 20, 30)


class Loader:
    """Hands over recorded batches as datasets.loader.Loader does pictures; `watch(t)` is called before batch t."""

    wait_seconds = 0.0

    def __init__(self, features, labels, rows, watch=None):
        self.features, self.labels, self.watch, self.seen = features, labels, watch, 0
        self.split = Rows(labels[:rows])

    def __call__(self, plans):
        for plan in plans:
            if self.watch:
                self.watch(self.seen)
            self.seen += 1
            yield Batch(self.features[plan.index], self.labels[plan.index].astype(np.int32), plan.index,
                        plan.extra() if plan.extra else None)


class Rows:
    """The training set: the rows of the first epoch."""

    def __init__(self, labels):
        self.labels, self.num_classes, self.path = labels, int(labels.max()) + 1, str

    def __len__(self):
        return len(self.labels)


class Sampler:
    """The recorded batches in their order, `steps` an epoch; extras[t] goes with batch t."""

    def __init__(self, size, steps, extras=None):
        self.size, self.steps, self.extras = size, steps, extras

    def plan(self, epoch, rng, embed):
        """Plans of an epoch."""
        return [Plan(np.arange(t * self.size, (t + 1) * self.size), np.zeros(self.size, np.uint32),
                     None if self.extras is None else lambda t=t: self.extras[t])
                for t in range(epoch * self.steps, (epoch + 1) * self.steps)]


class Normed(gluon.HybridBlock):
    """fc, BatchNorm, ReLU: the trunk of the local-sampling files. Its moving variance takes the unbiased one, as
    PyTorch's does; behind the convolutions of a real trunk that makes no difference."""

    def __init__(self, hidden, features, rows, epsilon):
        super().__init__()
        self.factor = (rows / (rows - 1)) ** 0.5
        with self.name_scope():
            self.fc = gluon.nn.Dense(hidden, use_bias=False, in_units=features)
            self.norm = gluon.nn.BatchNorm(epsilon=epsilon, momentum=0.9, in_channels=hidden)
            self.moving = gluon.nn.BatchNorm(scale=False, center=False, momentum=0.9, in_channels=hidden)

    def hybrid_forward(self, F, x):
        x = self.fc(x)
        y = self.norm(x) + 0 * self.moving(x * self.factor)
        return F.expand_dims(F.expand_dims(F.relu(y), 2), 3)


class Drawn(Margin):
    """The margin loss with the negatives that were recorded."""

    def inputs(self, out, batch):
        """Nothing is drawn."""
        a, p, n = (nd.array(row, dtype='int32') for row in batch.extra)
        return out.embedding, batch.label, a, p, n, nd.ones(len(batch.extra[0]))


def network(case, head, feature=None, dim=None, trunk=(), **options):
    """An EmbeddingNet whose pictures are the recorded features: (n, h, w, c), or (n, F) as one pixel."""
    shape = case['in_features'].shape[2:]
    channels = shape[-1]
    blocks = Trunk(list(trunk))
    plain = Preprocessing((0.0,) * channels, (1.0,) * channels, 'rgb', 255, 1)
    backbone = Backbone('map', blocks, blocks, plain, None, ())
    net = EmbeddingNet(backbone, get_head(head, dim, **options), feature, plain, 1)
    for parameter in net.collect_params().values():
        if not has_data(parameter):
            parameter.initialize()
    first = np.reshape(case['in_features'][0], (-1, *(shape if len(shape) > 1 else (1, 1, channels))))
    net(nd.array(first[:2]))
    net.hybridize(static_alloc=True)
    return net


def shown(case):
    """in_features as rows of pictures (T n, h, w, c)."""
    x = case['in_features']
    return np.ascontiguousarray(x.reshape(-1, *(x.shape[2:] if x.ndim > 3 else (1, 1, x.shape[2]))))


class Replay:
    """One trajectory.

    Parameters
    ----------
    case : tests.reference.Case
    loss : name of the loss, for its paper's constants
    net, criterion : as a run builds them
    arrays : {name in the file: (function that reads it, function that sets it)}
    extras : what each batch carries
    """

    def __init__(self, case, loss, net, criterion, arrays, extras=None):
        self.case, self.net, self.criterion, self.arrays, self.extras = case, net, criterion, arrays, extras
        self.loss, self.kept, self.rates, self.cross_entropy = loss, {}, [], []
        if any(not has_data(parameter) for parameter in criterion.collect_params().values()):
            criterion.initialize()
        criterion.hybridize()
        for name, (_, put) in arrays.items():
            put(case['in_' + name])

    def run(self, optim, schedule, epochs, start_rows=0):
        """Train; returns {key of the file: what came out}."""
        case, p = self.case, self.case.params
        steps, size = case['in_features'].shape[:2]
        features, labels = shown(case), case['in_labels'].reshape(-1)
        per_epoch = steps // epochs
        optimizer = optimizers.settings(optim, p['lr'], p['wd'], p.get('momentum', 0.9), p.get('epsilon'),
                                        constants=recipes.constants(self.loss))
        first = start_rows or per_epoch * size
        with tempfile.TemporaryDirectory() as folder:
            run = Run(folder, {})
            self.trainer = Trainer(
                self.net, self.criterion, Loader(features, labels, first, self.watch),
                Sampler(size, per_epoch, self.extras), schedule, optimizer, run,
                evaluate=lambda epoch: {'test': {'recall': {'1': 0.0}}},
                embed_train=lambda: inference.embeddings(self.net, Loader(features, labels, first), size),
                epochs=epochs, seed=1, start_loader=Loader(features, labels, first), start_batch_size=size,
                eval_epoch_term=epochs, save_epoch_term=epochs, summary_step=1)
            with contextlib.redirect_stdout(io.StringIO()):    # the lines of the epochs
                self.trainer.fit()
            self.watch(steps)
            run.close()
            lines = read_log(pathlib.Path(folder, 'log.jsonl'))
        self.lines = [line for line in lines if line['kind'] == 'step']
        losses = np.array([line['loss'] for line in self.lines])
        found = {'out_loss': losses, 'out_loss_sum': losses * size, 'out_loss_softmax': self.cross_entropy,
                 'out_epoch_loss': [line['loss'] for line in lines if line['kind'] == 'epoch'],
                 'out_lr': [line['lr'] for line in self.lines], 'out_lr_beta': self.rates}
        for t, arrays in self.kept.items():
            found.update({f'out_{name}_step{t}' if t else f'out_{name}_start': array for name, array in arrays.items()})
        return found

    def watch(self, t):
        """Look before step t, counted from 0, and after the last."""
        if t in (0, *SNAPSHOTS):
            self.net.settle()
            nd.waitall()
            self.kept[t] = {name: read() for name, (read, _) in self.arrays.items()}
        if t and len(self.trainer.update.trainers) > 1:
            self.rates.append(self.trainer.update.trainers[1].learning_rate)
        if self.loss == 'softmax_ranking' and t < len(self.case['in_labels']):
            size = self.case['in_labels'].shape[1]
            label = self.case['in_labels'][t]
            with autograd.pause(train_mode=False):
                logits = self.criterion.logits(self.net(nd.array(shown(self.case)[t * size:(t + 1) * size])))
            scores = nd.log_softmax(logits).asnumpy()
            self.cross_entropy.append(-scores[np.arange(size), label].mean())


def compare(case, found):
    """Hold what came out of a replay against the file, to the tolerances that were recorded with it."""
    for key, value in found.items():
        if key not in case:
            continue
        top = np.abs(case[key]).max()
        if 'loss' in key:
            case.close(key, value, rtol=0, atol=1e-5 * top + 1e-6)
        elif key in ('out_lr', 'out_lr_beta', 'out_alpha'):
            case.close(key, value, rtol=1e-6, atol=0)
        else:
            moved = np.abs(case[key] - case['in_' + re.fullmatch(r'out_(.*)_(start|step\d+)', key)[1]]).max()
            case.close(key, value, rtol=0, atol=2e-3 * moved + 2e-6 * top if moved else 0.0)


def replayed(family):
    """The check of a family: its replay, made once for the same inputs, and the comparison."""
    def check(case):
        inputs = [case[key].tobytes() for key in sorted(case.arrays) if key.startswith('in_')]
        key = (case.name, json.dumps(case.params), hash(b''.join(inputs)))
        if key not in LAST:
            LAST.clear()
            LAST[key] = family(case)
        compare(case, LAST[key])
    check.__doc__ = family.__doc__
    return check


LAST = {}    # the newest replay


def entry(parameter, there=lambda x: x, back=lambda x: x):
    """(read, put) of a Parameter; `there` brings the file's array into our shape, `back` ours into the file's."""
    return (lambda: back(parameter.data().asnumpy()), lambda array: parameter.set_data(nd.array(there(array))))


def transposed(parameter):
    """Our (out, in) is the file's (in, out)."""
    return entry(parameter, np.transpose, np.transpose)
