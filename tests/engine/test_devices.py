"""Several devices in one process, here CPU contexts: every loss, and --grad_chunk.

The loss is taken on the first device, of the embeddings of all, so it is that of one device. What differs is that a
convolution of half the batch may round otherwise than one of the whole: one device that runs the network on as many
pictures at a time (--grad_chunk) has the same bits; the whole batch agrees within rounding.
"""

import numpy as np
import pytest

import losses
import recipes
import samplers
from commands import layers
from core.errors import UserError
from core.files import read_log
from core.gluon_internals import named_parameters
from core.runtime import gluon, mx, nd
from datasets.loader import Loader
from engine import checkpoint, optimizers
from engine.run import Run
from engine.schedule import get_schedule
from engine.trainer import Trainer
from models.embedding import EmbeddingNet
from models.heads import get_head
from models.preprocessing import Preprocessing
from models.trunk import Backbone, Trunk
from tests.engine.test_resume import CLASSES, SIDE, batches, split

ONE, TWO, THREE = ([mx.cpu(number) for number in range(count)] for count in (1, 2, 3))
CASES = [[f'--loss={loss}'] for loss in sorted(losses.LOSSES)] + [
    ['--loss=hphn_triplet', '--n_inner_pts=0', '--soft_margin'],
    ['--loss=heated_softmax', '--l2_norm', '--heat_up', '--nb_hu_epoch=3'],
    ['--loss=heated_softmax', '--learn_norm', '--l2_norm'], ['--loss=contrastive', '--sampler=local']] + [
    ['--loss=softmax_ranking', f'--train_mode={mode}', '--sampler=pk'] for mode in ('hard', 'semi_hard', 'center')]


def network(criterion, ctx):
    """Three convolutions and a BatchNorm with fixed statistics; no dropout, whose masks each device draws itself."""
    trunk = Trunk([gluon.nn.Conv2D(6, 3), gluon.nn.BatchNorm(use_global_stats=True),
                   gluon.nn.Conv2D(8, 3, 2, activation='relu'), gluon.nn.Conv2D(8, 3)])
    plain = Preprocessing((127.5,) * 3, (127.5,) * 3, 'rgb', 255, SIDE)
    net = EmbeddingNet(Backbone('small', trunk, trunk, plain, None, (0, 2, 3)),
                       get_head(criterion.head, 6, getattr(criterion, 'dims', None)), criterion.feature, plain, SIDE)
    net.apply(lambda layer: setattr(layer, '_rate', 0) if isinstance(layer, gluon.nn.Dropout) else None)
    mx.random.seed(1)
    net.initialize(ctx=ctx)
    return net


def train(folder, words, ctx, chunk=0, steps=3, source=None):
    """(losses, {name: [array of each device]}) after some steps; source: folder of the run that goes on."""
    args = layers.parse('train', ['--data_name=glyphs', '--embed_dim=6', '--lr=0.01', '--optim=sgd', '--gpu_idx=cpu',
                                  '--lr_schedule=constant', '--early_stopping=0', *words])
    data = split()
    mx.random.seed(3)
    np.random.seed(3)
    criterion = losses.get_loss(args.loss).from_args(args, CLASSES)
    net = network(criterion, ctx)
    criterion.initialize(ctx=ctx[0])
    for device in ctx:
        out = net(nd.zeros((2, SIDE, SIDE, 3), dtype='uint8', ctx=device))
        if criterion.classifies and device == ctx[0]:
            criterion.logits(out)
    net.hybridize(static_alloc=True)
    sampler = samplers.get_sampler(args.sampler).from_args(args, data.labels, data.super_label)
    optimizer = optimizers.settings(args.optim, args.lr, args.wd, constants=recipes.constants(args.loss))
    run = Run(folder, vars(args), words)
    loader = Loader(data, lambda image, rng: image, 0)
    trainer = Trainer(net, criterion, loader, sampler, get_schedule('constant', args.lr), optimizer, run, epochs=9,
                      evaluate=lambda epoch: {'test': {'recall': {'1': 0}}}, start_loader=loader, start_batch_size=12,
                      embed_train=lambda: np.random.RandomState(2).randn(len(data), 6).astype(np.float32), ctx=ctx,
                      train_iters=steps, seed=5, summary_step=1, kvstore='local', grad_chunk=chunk)
    if source:
        trainer.resume(checkpoint.locate(source))
    trainer.fit()
    run.close()
    parameters = {**named_parameters(net), **{'criterion.' + name: p for name, p in
                                              named_parameters(criterion).items()}}
    return ([line['loss'] for line in read_log(folder / 'log.jsonl') if line['kind'] == 'step'],
            {name: [array.asnumpy() for array in p.list_data()] for name, p in parameters.items()})


def assert_same(several, one, **tolerance):
    """All devices of one run have the same bits, and those of the run on one device within a tolerance."""
    np.testing.assert_allclose(several[0], one[0], **tolerance)
    assert several[1].keys() == one[1].keys()
    for name, (array, *copies) in several[1].items():
        for copy in copies:
            np.testing.assert_array_equal(copy, array, err_msg=name)
        np.testing.assert_allclose(array, one[1][name][0], err_msg=name, **tolerance)


@pytest.mark.parametrize('words', CASES, ids=' '.join)
def test_every_loss_on_two_devices(tmp_path, words):
    loss = words[0][7:]
    sampler = next((word[10:] for word in words if word.startswith('--sampler=')), losses.get_loss(loss).sampler)
    words = [*words, *batches(sampler, loss)]
    two = train(tmp_path / 'two', words, TWO)
    halves = train(tmp_path / 'halves', words, ONE, chunk=6)
    assert len(two[0]) == 3 and two[0][0] != two[0][2]
    assert_same(two, halves, rtol=1e-6, atol=1e-9)
    whole = train(tmp_path / 'whole', words, ONE, steps=1)
    assert two[0][0] == pytest.approx(whole[0][0], rel=1e-5)


@pytest.mark.parametrize('words', [['--loss=margin'], ['--loss=softmax_ranking', '--train_mode=center']], ids=' '.join)
@pytest.mark.parametrize('chunk', (1, 5, 6))
def test_chunks_on_several_devices(tmp_path, words, chunk):
    """A chunk of fewer pictures than devices leaves none of them behind."""
    words = [*words, *batches('pk', 'margin'), '--sampler=pk']
    one = train(tmp_path / 'one', words, ONE)
    for ctx in (TWO, THREE):
        assert_same(train(tmp_path / str(len(ctx)), words, ctx, chunk), one, rtol=1e-4, atol=1e-6)


def test_a_batch_of_one_picture_moves_every_device(tmp_path):
    words = ['--loss=heated_softmax', '--batch_size=5', '--sampler=random']       # 36 pictures: the last batch has one
    one, two = (train(tmp_path / str(len(ctx)), words, ctx, steps=8) for ctx in (ONE, TWO))
    assert_same(two, one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('before, after', ((ONE, TWO), (TWO, ONE)))
def test_a_run_goes_on_with_another_number_of_devices(tmp_path, before, after):
    """A classifier beside several devices has an optimizer of its own, beside one it shares the network's."""
    words = ['--loss=heated_softmax', '--batch_size=12', '--sampler=random', '--optim=adam']
    straight = train(tmp_path / 'straight', words, ONE, steps=6)
    train(tmp_path / 'before', words, before, steps=3)
    parts = train(tmp_path / 'after', words, after, steps=6, source=tmp_path / 'before')
    assert_same((straight[0][3:], parts[1]), (parts[0], straight[1]), rtol=1e-3, atol=1e-5)


def test_devices_whose_gradients_are_not_summed_are_refused():
    assert layers.parse('train', ['--loss=margin', '--gpu_idx=0', '--kvstore=none']).kvstore == 'none'
    with pytest.raises(UserError, match='--kvstore=none .*--gpu_idx=0,1'):
        layers.parse('train', ['--loss=margin', '--gpu_idx=0,1', '--kvstore=none'])
