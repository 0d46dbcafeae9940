"""--grad_chunk: the gradient of the whole batch, a chunk of the network at a time."""

import numpy as np
import pytest

import losses
from commands import layers
from core.contracts import Batch, Out
from core.gluon_internals import named_parameters
from core.runtime import autograd, gluon, mx, nd
from engine.chunks import Chunks, mixes
from models.embedding import EmbeddingNet
from models.heads import get_head
from models.preprocessing import Preprocessing
from models.trunk import Backbone, Trunk

SIDE = 12


def network(criterion, frozen=True):
    """Two convolutions and a BatchNorm whose statistics are fixed."""
    mx.random.seed(1)
    norm = gluon.nn.BatchNorm(use_global_stats=frozen)
    trunk = Trunk([gluon.nn.Conv2D(6, 3), norm, gluon.nn.Conv2D(8, 3, 2, activation='relu')])
    plain = Preprocessing((127.5,) * 3, (127.5,) * 3, 'rgb', 255, SIDE)
    net = EmbeddingNet(Backbone('small', trunk, trunk, plain, None, ()), get_head(criterion.head, 6), criterion.feature,
                       plain, SIDE)
    net.initialize()
    net(nd.zeros((2, SIDE, SIDE, 3), dtype='uint8'))
    net.hybridize(static_alloc=True)
    for parameter in net.collect_params().values():
        if parameter.grad_req == 'write':
            parameter.grad_req = 'add'
    return net


@pytest.mark.parametrize('words', [['--loss=hphn_triplet', '--n_inner_pts=2'], ['--loss=margin'],
                                   ['--loss=softmax_ranking', '--train_mode=hard'],
                                   ['--loss=softmax_ranking', '--train_mode=center']], ids=' '.join)
@pytest.mark.parametrize('size', [1, 5, 12, 40])
def test_chunks_give_the_gradient_of_the_whole_batch(words, size):
    args = layers.parse('train', [*words, '--embed_dim=6', '--batch_size=12', '--num_instances=4'])
    criterion = losses.get_loss(args.loss).from_args(args, 3)
    net = network(criterion)
    assert not mixes(net)
    criterion.initialize()
    image = np.random.RandomState(0).randint(0, 256, (12, SIDE, SIDE, 3)).astype(np.uint8)
    batch = Batch(None, nd.array(np.repeat(np.arange(3), 4), dtype='int32'), None, None)

    def forward(part):
        return net(nd.array(part, dtype='uint8'))

    def gradients(out_of):
        np.random.seed(2)
        for parameter in net.collect_params().values():
            if parameter.grad_req != 'null':
                parameter.zero_grad()
        chunks = Chunks(forward, size)
        leaves = None if out_of is forward else chunks.embed(image, 7)
        with autograd.record():
            loss = criterion(leaves or forward(image), batch)
        loss.backward()
        if leaves:
            chunks.backward(image, 7, leaves)
        found = {name: p.grad().asnumpy() for name, p in named_parameters(net).items() if p.grad_req != 'null'}
        found.update({'loss': loss.asnumpy()}, **{'criterion.' + name: p.grad().asnumpy() for name, p in
                                                  named_parameters(criterion).items() if p.grad_req != 'null'})
        return found
    whole, parts = gradients(forward), gradients(None)
    assert whole.keys() == parts.keys() and np.abs(whole['trunk.0.weight']).max() > 0
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-4, atol=1e-6 + 1e-5 * np.abs(whole[name]).max(),
                                   err_msg=name)


def test_dropout_is_the_same_in_both_passes():
    layer = gluon.nn.Dropout(0.5)
    seen = []

    def forward(part):
        seen.append(layer(nd.array(part)))
        return Out(seen[-1] * 1, None)
    chunks, image = Chunks(forward, 2), np.ones((4, 50), np.float32)
    leaves = chunks.embed(image, 3)
    leaves.embedding.grad[:] = 1
    for (_, part), first in zip(chunks.each(image, 3), list(seen)):
        with autograd.record():
            again = layer(nd.array(part))
        np.testing.assert_array_equal(again.asnumpy(), first.asnumpy())
    assert 0 < leaves.embedding.asnumpy().mean() < 2 and not np.array_equal(seen[0].asnumpy(), seen[1].asnumpy())


def test_batchnorm_of_the_batch_is_noticed():
    args = layers.parse('train', ['--loss=margin'])
    assert mixes(network(losses.get_loss('margin').from_args(args, 3), frozen=False))
