"""The benchmark of the search at a tiny size: every line is there, and recall is what it must be."""

import re

import pytest

from tests.scripts.test_benchmark import benchmark

TINY = ['--backbones=convnet', '--untrained', '--image_size=32']


def test_backends_have_their_lines_and_flat_finds_all():
    text = benchmark('serve', '--part=backends', '--sizes=400x8', '--backends=flat,hnsw,ivfpq', '--queries=20')
    flat, hnsw = (re.search(rf'^400x8 +{name}.* (\S+)$', text, re.M) for name in ('flat', 'hnsw'))
    assert float(flat.group(1)) == 1.0 and 0.8 <= float(hnsw.group(1)) <= 1.0
    assert 'ivfpq         left out: --backend=ivfpq learns its codes from at least 10,000 images' in text


def test_milvus_has_its_line():
    pytest.importorskip('milvus_lite', reason='Milvus Lite is optional: pip install -r requirements-milvus.txt')
    text = benchmark('serve', '--part=backends', '--sizes=300x8', '--backends=flat,milvus', '--queries=20')
    assert re.search(r'^300x8 +milvus .* 1\.000$', text, re.M)


def test_engines_and_the_service_have_their_lines():
    text = benchmark('serve', '--part=engines', '--part=service', *TINY, '--pictures=8', '--images=200',
                     '--clients=3', '--requests=6')
    assert re.search(r'^convnet +mxnet float32 +\d+', text, re.M)
    for batching in ('on', 'off'):
        line = re.search(rf'^{batching} +3 +(.*)$', text, re.M).group(1).split()
        rate, p50, p95, p99, busy = map(float, line)
        assert rate > 0 and 0 < p50 <= p95 <= p99 and busy == 0
    assert text.count('peak memory') == 2
