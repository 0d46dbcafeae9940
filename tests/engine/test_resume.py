"""Resuming bit for bit: every loss with each of its samplers, every optimizer, every schedule, gathered gradients.

Each run trains a small trunk on small pictures, through the same parts that the commands build, without evaluation.
"""

import itertools
import os
import signal

import numpy as np
import pytest

import losses
import recipes
import samplers
from commands import layers
from core.files import read_log
from core.gluon_internals import has_data, named_parameters
from core.runtime import gluon, mx, nd
from datasets.loader import Loader
from datasets.records import Split
from engine import checkpoint, inference, optimizers
from engine.interrupts import Interrupted
from engine.run import Run
from engine.schedule import SCHEDULES, get_schedule
from engine.trainer import Trainer
from models.embedding import EmbeddingNet
from models.heads import get_head
from models.preprocessing import Preprocessing
from models.trunk import Backbone, Trunk

ALL = bool(os.environ.get('GLUON_DML_ALL'))
# hdc's heads are wide, so only its own sampler and one more without GLUON_DML_ALL=1
LOSSES = [(loss, sampler) for loss, kind in sorted(losses.LOSSES.items())
          for sampler in (kind.samplers if ALL or loss != 'hdc' else (kind.sampler, 'pk'))]
UPDATES = list(itertools.product(optimizers.OPTIMIZERS, sorted(SCHEDULES)))
# all 55 with GLUON_DML_ALL=1; else every optimizer once, and the losses go through the pairs too
TRIED = UPDATES if ALL else UPDATES[::6] + UPDATES[25:26]
CLASSES, EACH, SIDE = 6, 6, 16


def read(i):
    """A small picture of its own."""
    return np.random.RandomState(i).randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def split():
    """36 pictures of 6 classes of 2 super-classes."""
    labels = np.repeat(np.arange(CLASSES), EACH)
    return Split(labels, None, reader=read, super_label=labels // 3)


class Ending(Loader):
    """Sends SIGTERM to this process before it hands over batch number `end`."""

    end, seen = None, 0

    def __call__(self, plans):
        for batch in super().__call__(plans):
            if self.seen == self.end:
                os.kill(os.getpid(), signal.SIGTERM)
            self.seen += 1
            yield batch


def network(criterion, embed_dim):
    """Four layers with BatchNorm and dropout, and the head that the criterion asks for."""
    def conv(channels, stride):
        block = gluon.nn.HybridSequential()
        block.add(gluon.nn.Conv2D(channels, 3, stride, 1), gluon.nn.BatchNorm(), gluon.nn.Activation('relu'))
        return block
    trunk = Trunk([conv(6, 1), conv(8, 2), gluon.nn.Dropout(0.2), conv(8, 1)])
    plain = Preprocessing((127.5,) * 3, (127.5,) * 3, 'rgb', 255, SIDE)
    dims = getattr(criterion, 'dims', None)
    net = EmbeddingNet(Backbone('small', trunk, trunk, plain, None, (0, 1, 3)),
                       get_head(criterion.head, embed_dim, dims), criterion.feature, plain, SIDE)
    for parameter in net.collect_params().values():
        if not has_data(parameter):
            parameter.initialize()
    return net


def train(folder, words, end=None, resume=False):
    """Train; `end`: the number of the batch before which it is interrupted. Returns the Trainer."""
    args = layers.parse('train', ['--data_name=glyphs', '--embed_dim=6', '--epochs=3', '--lr=0.01', '--gpu_idx=cpu',
                                  *words])
    data = split()
    mx.random.seed(3)
    np.random.seed(3)
    criterion = losses.get_loss(args.loss).from_args(args, CLASSES)
    net = network(criterion, args.embed_dim)
    criterion.initialize()
    out = net(nd.zeros((2, SIDE, SIDE, 3), dtype='uint8'))
    if criterion.classifies:
        criterion.logits(out)
    net.hybridize(static_alloc=True)
    criterion.hybridize(static_alloc=True)
    sampler = samplers.get_sampler(args.sampler).from_args(args, data.labels, data.super_label)
    schedule = get_schedule(args.lr_schedule, args.lr, factor=args.lr_decay_factor, decay_epochs=[1, 2], epochs=3,
                            patience=0, train_iters=args.train_iters)
    optimizer = optimizers.settings(args.optim, args.lr, args.wd, args.momentum, args.epsilon, args.grad_clip,
                                    recipes.constants(args.loss))
    run = Run(folder, vars(args), words, resumed=resume)
    loader = Ending(data, lambda image, rng: image if rng.rand() < 0.5 else image[:, ::-1], 0)
    loader.end = end
    plain = Loader(data, lambda image, rng: image, 0)
    trainer = Trainer(net, criterion, loader, sampler, schedule, optimizer, run, epochs=3,
                      evaluate=lambda epoch: {'test': {'recall': {'1': epoch / 10}}},
                      embed_train=lambda: inference.embeddings(net, plain, 12), start_loader=plain,
                      start_batch_size=12, seed=5, eval_epoch_term=3, save_epoch_term=3, summary_step=1,
                      caffe_iter_size=args.caffe_iter_size, loss_scale=args.loss_scale)
    if resume:
        trainer.resume(checkpoint.locate(folder))
    try:
        trainer.fit()
        assert end is None
    except Interrupted:
        assert end is not None
    finally:
        run.close()
    return trainer


def what_is_left(trainer):
    """{name: array} of all that training moves."""
    arrays = {name: parameter.data() for name, parameter in named_parameters(trainer.net).items()}
    arrays.update({'criterion.' + name: p.data() for name, p in named_parameters(trainer.criterion).items()})
    arrays.update(trainer.update.arrays())
    return {name: array.asnumpy() for name, array in arrays.items()}


def curve(folder):
    """What was logged, without times."""
    left_out = {'seconds', 'images_per_second'}
    return [{key: value for key, value in line.items() if key not in left_out}
            for line in read_log(folder / 'log.jsonl')]


def check(tmp_path, words, end=3):
    """Straight through, and interrupted before batch `end` and resumed, are the same run."""
    whole = train(tmp_path / 'whole', words)
    assert whole.state['iteration'] > end + 1, 'nothing is left to resume'
    train(tmp_path / 'parts', words, end)
    parts = train(tmp_path / 'parts', words, resume=True)
    assert curve(tmp_path / 'whole') == curve(tmp_path / 'parts')
    first, second = what_is_left(whole), what_is_left(parts)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert whole.update.description() == parts.update.description()
    assert whole.schedule.state() == parts.schedule.state() and whole.state['best'] == parts.state['best']


def batches(sampler, loss):
    """Flags that make small batches."""
    words = ['--batch_size=12']
    declared = layers.training_parser([f'--loss={loss}', f'--sampler={sampler}'], {}).parse_args([])
    words += ['--num_instances=4'] if hasattr(declared, 'num_instances') else []
    words += ['--batches_per_epoch=3'] if hasattr(declared, 'batches_per_epoch') else []
    return words


@pytest.mark.parametrize('loss, sampler', LOSSES, ids=['-'.join(pair) for pair in LOSSES])
def test_every_loss_with_each_of_its_samplers(tmp_path, loss, sampler):
    number = LOSSES.index((loss, sampler))
    optim, schedule = UPDATES[(7 * number) % len(UPDATES)]
    check(tmp_path, [f'--loss={loss}', f'--sampler={sampler}', f'--optim={optim}', f'--lr_schedule={schedule}',
                     f'--caffe_iter_size={1 + number % 2}', *batches(sampler, loss)], end=2 + number % 2)


@pytest.mark.parametrize('optim, schedule', TRIED, ids=['-'.join(pair) for pair in TRIED])
def test_every_optimizer_and_every_schedule(tmp_path, optim, schedule):
    number = UPDATES.index((optim, schedule))
    check(tmp_path, ['--loss=margin', '--sampler=pk', f'--optim={optim}', f'--lr_schedule={schedule}',
                     '--grad_clip=0.1', f'--caffe_iter_size={1 + number % 3}', *batches('pk', 'margin')],
          end=3 + number % 2)


@pytest.mark.parametrize('words', [
    ['--loss=softmax_ranking', '--train_mode=center', '--sampler=ranking'],
    ['--loss=softmax_ranking', '--train_mode=semi_hard', '--sampler=pk'],
    ['--loss=softmax_ranking', '--train_mode=hard', '--sampler=random'],
    ['--loss=heated_softmax', '--bn', '--better_init', '--heat_up', '--nb_hu_epoch=2', '--optim=rmsprop'],
    ['--loss=heated_softmax', '--learn_norm', '--l2_norm', '--optim=sgd', '--alpha_decay'],
    ['--loss=hphn_triplet', '--n_inner_pts=2'],
    ['--loss=sst', '--lr_schedule=poly'],
    ['--loss=contrastive', '--sampler=local', '--lr_schedule=multifactor_iteration'],
], ids=' '.join)
def test_modes_of_the_losses_with_gradients_gathered_half_way(tmp_path, words):
    sampler = next((word[10:] for word in words if word.startswith('--sampler=')),
                   losses.get_loss(words[0][7:]).sampler)
    check(tmp_path, [*words, '--caffe_iter_size=2', *batches(sampler, words[0][7:])])
