"""Embedding and evaluation on several processes: the same numbers as in one, what is there is not done again."""

import json
import os
import signal

import numpy as np
import pytest

import main
from commands import shards
from commands.cluster import Cluster
from core.errors import UserError
from core.normalize import unit_rows
from core.runtime import mx
from evaluation.embeddings import load_embeddings, save_embeddings
from evaluation.neighbours import blocks, search
from tests.evaluation.test_neighbours import clustered

pytest.importorskip('distributed', reason='Dask is not installed: pip install -r requirements-cluster.txt')


@pytest.fixture(scope='module')
def two():
    with Cluster('local:2') as cluster:
        yield cluster


def end_once(value, marker):
    """Kill the worker that comes here first."""
    if not os.path.exists(marker):
        open(marker, 'w').close()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def refuse(value):
    raise UserError(f'no {value}')


def test_ranks_on_workers_are_those_of_one_process(two, tmp_path):
    x, labels, rng = clustered(0)
    x[rng.permutation(len(x))[:60]] = x[7]
    save_embeddings(tmp_path / 'x.npz', x, labels)
    whole = search.ranks(x, labels, small=0)
    for file in (None, str(tmp_path / 'x.npz')):
        engine = blocks.Blocks(two.run, two.share, file, rows=200, columns=150)
        found = engine.ranks(x, labels, small=0)
        assert all(np.array_equal(one, other) for one, other in zip(found, whole))


def test_a_killed_worker_s_task_is_done_again_and_errors_arrive(two, tmp_path):
    assert list(two.run(end_once, [(i, str(tmp_path / 'marker')) for i in range(5)])) == [0, 1, 2, 3, 4]
    with pytest.raises(UserError, match='no 3'):
        list(two.run(refuse, [(3,)]))


@pytest.fixture(scope='module')
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'a'
    assert main.main(['--save_dir=' + str(folder), '--glyphs_classes=8', '--glyphs_instances=8', '--epochs=1',
                      '--image_size=32', '--embed_dim=8', '--batch_size=16', '--num_instances=4', '--figures=0',
                      '--gpu_idx=cpu', '--recallk=1,2']) == 0
    return folder


def test_shards_joined_by_hand_are_the_file_of_one_process(run_folder, capsys):
    flags = ['embed', '--checkpoint=' + str(run_folder)]
    assert main.main(flags) == 0
    whole = load_embeddings(run_folder / 'embeddings.npz')
    whole = whole._replace(embeddings=np.array(whole.embeddings))
    (run_folder / 'embeddings.npz').unlink()
    for i in (1, 3):
        assert main.main(flags + [f'--shard={i}/3']) == 0
    folder = run_folder / 'embeddings.npz.shards'
    assert main.main(['join', str(folder)]) == 2
    assert 'lacks 1 shard of 3: 2' in capsys.readouterr().err
    assert main.main(flags + ['--shard=2/3']) == 0 and main.main(['join', str(folder)]) == 0
    joined = load_embeddings(run_folder / 'embeddings.npz')
    for name in ('labels', 'paths', 'names'):
        assert np.array_equal(getattr(joined, name), getattr(whole, name))
    assert np.allclose(joined.embeddings, whole.embeddings, atol=1e-6)
    capsys.readouterr()
    assert main.main(flags + ['--shard=2/3']) == 0 and 'is there already' in capsys.readouterr().out
    for text in ('0/3', '4/3', '3', 'a/b'):
        assert main.main(flags + ['--shard=' + text]) == 2


def test_the_pooled_feature_is_the_network_without_its_head(run_folder, capsys):
    flags = ['embed', '--checkpoint=' + str(run_folder), '--layer=pooled']
    assert main.main(flags) == 0
    found = load_embeddings(run_folder / 'embeddings_pooled.npz').embeddings
    assert main.main(flags[:2]) == 0
    embeddings = np.array(load_embeddings(run_folder / 'embeddings.npz').embeddings)
    head = {name: array.asnumpy() for name, array in mx.nd.load(str(run_folder / 'last' / 'net.params')).items()
            if name.startswith('head.')}
    dense = unit_rows(found @ head['head.bottleneck.dense.weight'].T + head['head.bottleneck.dense.bias'])
    assert found.shape == (len(embeddings), 256) and np.allclose(dense, unit_rows(embeddings), atol=1e-5)
    parts = [[*flags, f'--shard={i}/2'] for i in (1, 2)]
    assert main.main(parts[0][:2] + [parts[0][3], '--output=' + str(run_folder / 'embeddings_pooled.npz')]) == 0
    assert main.main(parts[1]) == 0
    folder = run_folder / 'embeddings_pooled.npz.shards'
    assert main.main(['join', str(folder)]) == 2         # one of the embedding, one of the pooled feature
    assert main.main(parts[0]) == 0 and main.main(['join', str(folder)]) == 0
    assert np.allclose(load_embeddings(run_folder / 'embeddings_pooled.npz').embeddings, found, atol=1e-6)


def test_embed_and_evaluate_on_a_cluster(run_folder, two, monkeypatch, capsys):
    flags = ['--checkpoint=' + str(run_folder), '--figures=0']
    monkeypatch.setattr(shards, 'IMAGES', 20)
    monkeypatch.setattr('commands.embed.Cluster', lambda address: Kept(two))
    monkeypatch.setattr('commands.evaluate.Cluster', lambda address: Kept(two))
    output = run_folder / 'there.npz'
    assert main.main(['embed', flags[0], '--cluster=local:2', '--output=' + str(output)]) == 0
    files = sorted((run_folder / 'there.npz.shards').iterdir())
    before = [file.stat().st_mtime_ns for file in files]
    files[0].unlink()
    assert main.main(['embed', flags[0], '--cluster=local:2', '--output=' + str(output)]) == 0
    after = [file.stat().st_mtime_ns for file in files]
    assert len(files) > 1 and after[1:] == before[1:] and after[0] > before[0]
    for source in (flags, ['--embeddings=' + str(output), '--recallk=1,2']):
        results = []
        for extra in ([], ['--cluster=local:2']):
            folder = run_folder.parent / f'scored{len(results)}'
            assert main.main(['evaluate', *source, *extra, '--save_dir=' + str(folder)]) == 0
            results.append(json.loads((folder / 'result.json').read_text())['selection'])
        assert results[0] == results[1]


class Kept:
    """A cluster that stays when its block ends."""

    def __init__(self, cluster):
        self.cluster = cluster

    def __enter__(self):
        return self.cluster

    def __exit__(self, *error):
        return None


def test_what_does_not_fit_into_the_memory_is_read_in_blocks(tmp_path, monkeypatch, capsys):
    from commands import evaluate
    x, labels, _ = clustered(1)
    save_embeddings(tmp_path / 'x.npz', x, labels)
    flags, results = ['evaluate', f'--embeddings={tmp_path / "x.npz"}', '--recallk=1,10'], []
    for free in (evaluate.free_memory(), 1000):
        monkeypatch.setattr(evaluate, 'free_memory', lambda free=free: free)
        assert main.main(flags + [f'--save_dir={tmp_path / str(free)}']) == 0
        results.append(json.loads((tmp_path / str(free) / 'result.json').read_text())['selection'])
    assert results[0] == results[1] and 'block by block' in capsys.readouterr().out


def test_bad_addresses_are_named():
    for address in ('local', 'local:0', 'somewhere'):
        with pytest.raises(UserError, match='Legal values: local:4'):
            Cluster(address)
