"""Files of weights: read without trust, fetched and checked."""

import functools
import hashlib
import http.server
import pathlib
import struct
import threading

import numpy as np
import pytest

import models
from core.errors import UserError
from core.params_file import read_params
from core.runtime import gluon, mx, nd
from models import heads, weights
from models.preprocessing import HALF
from models.registry import OWN, STARTS, Own


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'float16', 'uint8', 'int32', 'int8', 'int64'])
def test_read_params_equals_nd_load(tmp_path, dtype):
    arrays = {'a.weight': nd.array(np.arange(24).reshape(2, 3, 4), dtype=dtype), 'é': nd.array([7], dtype=dtype)}
    nd.save(str(tmp_path / 'x.params'), arrays)
    read = read_params(tmp_path / 'x.params')
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == dtype and (read[name] == array.asnumpy()).all()
    nd.save(str(tmp_path / 'list.params'), list(arrays.values()))
    assert list(read_params(tmp_path / 'list.params')) == ['0', '1']


def test_no_flipped_bit_of_a_params_file_allocates_more_than_the_file_or_leaves_as_another_error(tmp_path):
    nd.save(str(tmp_path / 'x.params'), {'w': nd.ones((3, 5)), 'b': nd.zeros(4)})
    whole = (tmp_path / 'x.params').read_bytes()
    file = tmp_path / 'damaged.params'
    read = 0
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        try:
            assert sum(array.nbytes for array in read_params(file).values()) <= 2 * len(whole)
            read += 1
        except ValueError as error:
            assert str(error)
    assert read                                       # of numbers and names: these cannot be told
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises((ValueError, struct.error)):
            read_params(file)
        with pytest.raises(UserError, match='damaged.params'):
            weights.load_file(file)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    net = models.build('convnet', 4, image_size=32)
    net.head.bottleneck.dense.bias.set_data(nd.array([0, np.nan, 0, 0]))
    net.save(tmp_path / 'net.params')
    with pytest.raises(UserError, match=r'net\.params.*head\.bottleneck\.dense\.bias.*not finite'):
        models.load(tmp_path / 'net.params')


def test_an_own_trunk_downloads_its_weights_once_and_checks_them(tmp_path, monkeypatch):
    zoo = gluon.nn.HybridSequential(prefix='tiny_')
    zoo.add(gluon.nn.Conv2D(4, 3, in_channels=3))
    zoo.initialize(mx.init.Normal())
    (tmp_path / 'web').mkdir()
    zoo.save_parameters(str(tmp_path / 'web/tiny.params'))
    digest = hashlib.sha256((tmp_path / 'web/tiny.params').read_bytes()).hexdigest()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / 'web'))
    monkeypatch.setattr(handler.func, 'log_message', lambda *_: None)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f'http://127.0.0.1:{server.server_port}/tiny.params'
    monkeypatch.setenv('MXNET_HOME', str(tmp_path / 'home'))

    def make(size, prefix):
        net = gluon.nn.HybridSequential(prefix=prefix)
        net.add(gluon.nn.Conv2D(4, 3))
        return net
    for name, sha256 in (('tiny', digest), ('wrong', '0' * 64)):
        monkeypatch.setitem(OWN, name, Own(make, HALF, weights.Download(address, sha256), 'a test'))
    try:
        with pytest.raises(UserError, match='could not be fetched'):
            models.build('wrong', image_size=8, pretrained=True)
        net = models.build('tiny', image_size=8, pretrained=True)
    finally:
        server.shutdown()
        server.server_close()
    expected = zoo(nd.ones((1, 3, 8, 8))).asnumpy()
    assert (net.trunk(nd.ones((1, 3, 8, 8)))[-1].asnumpy() == expected).all()
    models.build('tiny', image_size=8, pretrained=True)             # the server is gone: from the folder


def test_an_unreachable_download_is_one_sentence_without_lines_about_attempts(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv('MXNET_GLUON_REPO', 'http://127.0.0.1:9/')
    model_store = mx.gluon.model_zoo.model_store
    fetch = model_store.get_model_file
    monkeypatch.setattr(model_store, 'get_model_file', lambda name, root: fetch(name, root=str(tmp_path)))
    with pytest.raises(UserError, match='--pretrained=FILE.*efficientnet_lite0.*--pretrained=false'):
        models.build('mobilenet0.25', pretrained=True)
    assert capsys.readouterr().out.count('\n') <= 1


def test_the_page_names_every_head_start_and_own_trunk():
    page = (pathlib.Path(models.__file__).parents[1] / 'docs/models.md').read_text()
    missing = [name for name in (*heads.HEADS, *STARTS, *OWN) if f'`{name}`' not in page]
    assert not missing
