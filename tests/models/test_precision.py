"""--dtype=float16: the trunk in float16, everything that is kept in float32.

MXNet has no float16 convolution for a CPU, so what runs here is a trunk of products number by number; of the real
networks the types are looked at.
"""

import json

import numpy as np
import pytest

import models
from commands import layers
from core.errors import UserError
from core.gluon_internals import named_parameters
from core.runtime import autograd, gluon, mx, nd
from models import precision
from models.embedding import EmbeddingNet
from models.heads import get_head
from models.preprocessing import Preprocessing
from models.trunk import Backbone, Trunk

SIDE = 8


class Scale(gluon.HybridBlock):
    """Each channel times a weight: a layer that MXNet can compute in float16 on a CPU."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.weight = self.params.get('weight', shape=(1, 3, 1, 1), init=mx.init.Uniform(1.0))

    def hybrid_forward(self, F, x, weight):
        return F.broadcast_mul(x, weight)


def network(feature=None):
    mx.random.seed(0)
    block = gluon.nn.HybridSequential()
    block.add(gluon.nn.BatchNorm(), Scale(), gluon.nn.Activation('relu'), Scale())
    trunk = Trunk([block])
    plain = Preprocessing((127.5,) * 3, (50.0,) * 3, 'rgb', 255, SIDE)
    net = EmbeddingNet(Backbone('small', trunk, trunk, plain, None, ()), get_head('l2', 4), feature, plain, SIDE)
    net.initialize()
    net(nd.zeros((2, SIDE, SIDE, 3), dtype='uint8'))
    net.hybridize(static_alloc=True)
    return net


def step(net, x):
    """(embedding, {name: gradient}) of the sum of the first column."""
    with autograd.record():
        out = net(x)
        loss = out.embedding[:, 0].sum()
    loss.backward()
    return out, {name: p.grad().asnumpy() for name, p in named_parameters(net).items() if p.grad_req != 'null'}


def test_the_trunk_rounds_to_float16_and_what_is_kept_is_float32():
    x = nd.array(np.random.RandomState(0).randint(0, 256, (6, SIDE, SIDE, 3)), dtype='uint8')
    net = network('pooled')
    before = net(x).embedding.asnumpy()
    out, single = step(net, x)
    half = precision.Half(net)
    rounded, gradients = step(half, x)
    assert rounded.embedding.dtype == rounded.feature.dtype == np.float32
    assert set(named_parameters(half)) == set(named_parameters(net)) and gradients.keys() == single.keys()
    apart = np.abs(rounded.embedding.asnumpy() - out.embedding.asnumpy()).max()
    assert 1e-6 < apart < 5e-3, apart                     # 11 bits, not 24
    for name, gradient in single.items():
        assert gradients[name].dtype == np.float32
        np.testing.assert_allclose(gradients[name], gradient, atol=2e-2 * np.abs(gradient).max(), err_msg=name)
    assert {p.data().dtype for p in net.collect_params().values()} == {np.float32}
    restarted = network('pooled')
    np.testing.assert_array_equal(restarted(x).embedding.asnumpy(), before)


def test_the_network_itself_goes_on_in_float32():
    x = nd.array(np.random.RandomState(1).randint(0, 256, (4, SIDE, SIDE, 3)), dtype='uint8')
    net = network()
    before = net(x).embedding.asnumpy()
    half = precision.Half(net)
    assert not np.array_equal(half(x).embedding.asnumpy(), before)
    net.hybridize(static_alloc=True)                     # traced anew
    np.testing.assert_array_equal(net(x).embedding.asnumpy(), before)


@pytest.mark.parametrize('backbone', ['googlenet', 'mobilenet0.25', 'resnet18_v2', 'efficientnet_lite0'])
def test_types_in_the_graph_of_a_network(backbone):
    net = models.build(backbone, embed_dim=8, image_size=64)
    net.fuse(False)
    half = precision.Half(net)
    image = mx.sym.var('image', dtype='uint8')
    graph = half.hybrid_forward(mx.sym, image, half.offset.var(), half.scale.var())
    layers_found = [node['name'] for node in json.loads(graph.tojson())['nodes']
                    if node['op'] in ('Convolution', 'BatchNorm', 'Pooling')]
    inner = graph.get_internals()
    types = dict(zip(inner.list_outputs(), inner.infer_type(image='uint8')[1]))
    head = [name for name in layers_found if name.startswith('head') or name == layers_found[-1]]    # average, Dense
    for name in layers_found:
        assert types[name + '_output'] == (np.float32 if name in head else np.float16), name
    for name, parameter in net.collect_params().items():
        assert types.get(name, np.float32) == parameter.data().dtype == np.float32, name
    assert graph.infer_type(image='uint8')[1] == [np.float32]


def test_a_trunk_that_is_a_finished_graph_is_refused():
    net = network()
    net.trunk.register_child(gluon.SymbolBlock(mx.sym.var('x') * 2, mx.sym.var('x')), 'graph')
    with pytest.raises(UserError, match='finished graph'):
        precision.Half(net)


def test_a_cpu_and_a_frozen_trunk_are_refused():
    precision.check('float32', [mx.cpu()])
    precision.check('float16', [mx.gpu(0)])
    with pytest.raises(UserError, match='--dtype=float16 needs a GPU: .* or --dtype=float32'):
        precision.check('float16', [mx.cpu()])
    with pytest.raises(UserError, match='trained as a whole'):
        layers.parse('train', ['--loss=margin', '--dtype=float16', '--freeze_trunk'])
