"""Thirty training steps of each original, replayed through the suite's own Trainer, schedules, optimizers and heads.

A recorded batch of features takes the place of what a trunk computes; everything behind it is built as a run builds it.
Tolerances: loss 1e-5 of the largest, parameters 2e-3 of how far they moved, rates 1e-6, what does not move exactly.
"""

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
from engine.schedule import get_schedule
from engine.trainer import Trainer
from losses.contrastive import Contrastive
from losses.heated_softmax import HeatedSoftmax
from losses.hphn_triplet import HPHNTriplet
from losses.margin import Margin
from losses.softmax_ranking import SoftmaxRanking
from losses.sst import SST
from losses.triplet import TripletLocal
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


def ee_hphn(case):
    """HPHN triplet with and without expansion, Adam on the sum, iteration schedule."""
    p = case.params
    net = network(case, 'l2', dim=len(case['in_bias']))
    criterion = HPHNTriplet(p['n_inner_pts'], p['ee_l2norm'], p['margin'], p['soft_margin'])
    dense = net.head.bottleneck.dense
    replay = Replay(case, 'hphn_triplet', net, criterion, {'weight': entry(dense.weight), 'bias': entry(dense.bias)})
    epochs = len(case['out_lr']) // p['steps_per_epoch']
    return replay.run(p['optimizer'], get_schedule('multifactor_iteration', p['lr'], factor=p['lr_decay_factor'],
                                            decay_epochs=p['lr_decay_epochs'], epochs=epochs), epochs)


def margin_beta(case):
    """Margin loss, two trainers, epoch schedule."""
    p = case.params
    net = network(case, 'l2', dim=len(case['in_bias']))
    criterion = Drawn(len(case['in_beta']), p['margin'], p['beta'], p['nu'], p['lr_beta'])
    dense = net.head.bottleneck.dense
    extras = np.stack([case[f'in_{which}_indices'] for which in 'apn'], axis=1)
    replay = Replay(case, 'margin', net, criterion, {'weight': entry(dense.weight), 'bias': entry(dense.bias),
                                                     'beta': entry(criterion.beta)}, extras)
    epochs = len(case['out_lr']) // p['steps_per_epoch']
    return replay.run(p['optimizer'], get_schedule('multifactor_epoch', p['lr'], factor=p['lr_decay_factor'],
                                            decay_epochs=p['lr_decay_epochs'], epochs=epochs), epochs)


def heated(case):
    """Heated-up softmax: start-up pass, better_init, moving statistics, alpha and rate over the epochs."""
    p = case.params
    classes, dim = case['in_weights'].shape[::-1]
    net = network(case, 'bn' if p['bn'] else 'linear', dim=dim, bn_decay=p['bn_decay'])
    criterion = HeatedSoftmax(classes, dim, p['alpha'], p['l2_norm'], p['norm_weights'], p['learn_norm'], p['bn'],
                              p['label_smoothing'], p['alpha_decay'], p['heat_up'], p.get('nb_hu_epoch', 20),
                              p['better_init'])
    criterion.warm_up = p['warm_up_steps'] > 0
    bottleneck = net.head.bottleneck
    arrays = {'bottleneck_weight': transposed(bottleneck.dense.weight), 'weights': transposed(criterion.weight),
              'bias': entry(criterion.bias)}
    if p['bn']:
        arrays['bn_beta'] = entry(bottleneck.norm.beta)
        for name, ours in (('mean', 'running_mean'), ('var', 'running_var')):
            read, put = entry(getattr(bottleneck.norm, ours))
            _, also = entry(getattr(bottleneck.unbiased, ours))
            arrays['bn_moving_' + name] = read, lambda array, put=put, also=also: (put(array), also(array))
    else:
        arrays['bottleneck_bias'] = entry(bottleneck.dense.bias)
    if p['learn_norm']:
        arrays['norm_feature'] = entry(criterion.scale, lambda x: np.reshape(x, 1), lambda x: x[0])
    replay = Replay(case, 'heated_softmax', net, criterion, arrays)
    optim = {'mnist_adam': 'adam'}.get(p['optimizer'], p['optimizer'])
    found = replay.run(optim, get_schedule('constant', p['lr']), p['nb_epoch'],
                       p['warm_up_steps'] * len(case['in_labels'][0]))
    alpha = [criterion.schedule(epoch, p['nb_epoch'])[0] for epoch in range(p['nb_epoch'])]
    found['out_alpha'] = [line['alpha'] for line in replay.lines] if not p['learn_norm'] else np.repeat(
        alpha, p['steps_per_epoch'])    # fed, and without effect
    return found


def ranking(case):
    """Softmax with a ranking regulariser, linear decay that may end before training does."""
    p = case.params
    vanilla = p['train_mode'] == 'vanilla'
    net = network(case, 'pooled' if vanilla else 'two_head', 'pooled', p['emb_dim'])
    still = p['train_mode'] == 'center' and not p['centers_moved']
    criterion = SoftmaxRanking(p['num_classes'], p['emb_dim'], p['train_mode'], p.get('triplet_loss_lambda', 1.0),
                               p.get('margin', 0.2), p.get('center_lambda', 0.003),
                               0.0 if still else p.get('center_alpha', 0.5))
    criterion.initialize()
    criterion.logits(net(nd.array(shown(case)[:2])))
    arrays = {'classifier_weight': transposed(criterion.classifier.weight),
              'classifier_bias': entry(criterion.classifier.bias)}
    if not vanilla:
        h, w, c = case['in_features'].shape[2:]
        arrays['embed_bias'] = entry(net.head.dense.bias)
        arrays['embed_weight'] = entry(    # their map is flattened channel last, ours channel first
            net.head.dense.weight, lambda x: x.reshape(h, w, c, -1).transpose(3, 2, 0, 1).reshape(x.shape[1], -1),
            lambda x: x.reshape(-1, c, h, w).transpose(2, 3, 1, 0).reshape(h * w * c, -1))
    if p['train_mode'] == 'center':
        arrays['centers'] = entry(criterion.centers)
    replay = Replay(case, 'softmax_ranking', net, criterion, arrays)
    schedule = get_schedule('poly', p['lr'], end_lr=p['end_learning_rate'], train_iters=p['train_iters'])
    return replay.run('sgd', schedule, 1)


def local(case):
    """The three losses of local sampling: a last layer that is never trained, plateau schedule."""
    p, hidden = case.params, len(case['in_bn_beta'])
    rows, features = case['in_features'].shape[1:]
    trunk = Normed(hidden, features, rows, p['bn_epsilon'])
    trunk.initialize()
    net = network(case, 'l2' if p['normalized'] else 'linear', dim=len(case['in_last_bias']), trunk=[trunk])
    net.apply_lr_mult(head=0.0)
    extras = None
    if p['family'] == 'sst':
        criterion, extras = SST(p['normalized']), case['in_triplets']
    elif p['family'] == 'triplet_local':
        criterion = TripletLocal(p['margin'], p['loss_n_targets'], p['normalized'])
    else:
        criterion = Contrastive(p['margin'], p['normalized'])
    last, norm = net.head.bottleneck.dense, trunk.norm
    arrays = {'fc_weight': entry(trunk.fc.weight), 'bn_gamma': entry(norm.gamma), 'bn_beta': entry(norm.beta),
              'last_weight': entry(last.weight), 'last_bias': entry(last.bias),
              'bn_moving_mean': entry(norm.running_mean), 'bn_moving_var': entry(trunk.moving.running_var)}
    replay = Replay(case, p['family'], net, criterion, arrays, extras)
    epochs = len(case['out_lr']) // p['steps_per_epoch']
    schedule = get_schedule('plateau', p['lr'], factor=p['plateau_factor'], patience=p['plateau_patience'])
    schedule.threshold = p['plateau_threshold']
    # the recording is of a PyTorch that has the later form; that of the authors' time had MXNet's
    return replay.run('torchadam' if p['adam_form'] == 'torch' else 'adam', schedule, epochs)


def is_trajectory(case):
    """Whether a file of a flat folder belongs here."""
    return any(key.endswith('_step30') for key in case.arrays)


FAMILIES = {prefix: replayed(family) for prefix, family in (
    ('ee_hphn', ee_hphn), ('margin_beta', margin_beta), ('heated', heated), ('ranking', ranking), ('sst', local),
    ('triplet_local', local), ('contrastive', local))}
OWNS = dict.fromkeys(FAMILIES, is_trajectory)
