"""Rows of every protocol from their archives to the comparison, on tiny copies of the data sets and small networks."""

import json

import pytest

import main
from commands import rows
from datasets.benchmarks import BENCHMARKS
from tests.datasets import fake_data

SMALL = ['--backbone=mobilenet0.25', '--image_size=48', '--pretrained=false', '--embed_dim=8', '--batch_size=4',
         '--num_instances=2', '--num_workers=0', '--figures=false', '--recallk=1']
RANKING = [*SMALL, '--trunk_bn_decay=0.9', '--train_iters=3', '--eval_iter_term=2']


@pytest.fixture
def run(published, tmp_path, monkeypatch):
    """callable(set, row, words) -> (exit status, folder of the first seed, the comparison); all in this process."""
    monkeypatch.setattr(rows, 'ROOT', tmp_path)
    monkeypatch.setattr(rows, 'call', main.main)

    def call(name, data, row, words):
        numbers = fake_data.BUILDERS[data](published.folder)
        fake = fake_data.facts(data, published.folder, published.address, numbers)
        for other, benchmark in list(BENCHMARKS.items()):
            if benchmark.name == fake.name:
                monkeypatch.setitem(BENCHMARKS, other, fake)
        given = [f'--archive={published.folder / archive.name}' for archive in fake.sources[0] if not archive.urls]
        status = main.main(['rows', name, row, *given, *words])
        place = next((tmp_path / 'runs' / 'rows').glob('*/*/comparison.md'))
        return status, next(place.parent.glob('seed*')), place.read_text()
    return call


def score_of(folder, place='evaluation'):
    return json.loads((folder / place / 'result.json').read_text())['selection']


def test_classification_validated_in_the_middle_of_epochs(run, capfd):
    status, folder, table = run('aircraft', 'aircraft', 'hard', RANKING)
    result = json.loads((folder / 'result.json').read_text())
    assert status == 0 and result['iterations'] == 3 and result['selection']['best_on_test']['iteration'] in (2, 3)
    accuracy = score_of(folder)['last']['accuracy']
    assert f'| accuracy | – | {100 * accuracy:.1f} | – |' in table and 'macro accuracy' in table
    capfd.readouterr()


def test_faces_are_trained_and_verified_in_one_row(run, capfd):
    status, folder, table = run('lfw', 'lfw', 'margin_view1', [*SMALL, '--epochs=1'])
    assert status == 0 and set(score_of(folder)['last']) >= {'accuracy', 'auc'}
    assert '| accuracy | – |' in table and 'area under the ROC curve' in table
    assert 'recall' in json.loads((folder / 'result.json').read_text())['selection']['last']
    capfd.readouterr()


def test_queries_are_searched_in_their_gallery(run, capfd):
    status, folder, table = run('inshop', 'inshop', 'margin_cross', [*SMALL, '--epochs=1', '--batches_per_epoch=1'])
    assert status == 0 and '| Recall@1 | – |' in table
    assert json.loads((folder / 'evaluation' / 'result.json').read_text())['n_query'] == 3
    capfd.readouterr()


def test_neighbourhoods_of_products(run, capfd):
    words = [word for word in SMALL if 'num_instances' not in word]
    status, _, table = run('sop', 'sop', 'sst', [*words, '--epochs=1'])
    assert status == 0 and '| Recall@1 | – |' in table and 'NMI' in table
    capfd.readouterr()


def test_a_row_that_needs_faces_says_so_before_it_downloads(published, capsys):
    assert main.main(['rows', 'lfw', 'margin']) == 1
    assert '--data_dir=FOLDER with train/PERSON/' in capsys.readouterr().err and not published.server.requests


def test_a_batch_larger_than_the_data_set_costs_something(capsys):
    assert main.main(['rows', 'flowers102', 'hard', '--batch_size=2000', '--list']) == 0
    assert 'GPU-hours' in capsys.readouterr().out
