"""The protocol, files of embeddings, and what it says of bad ones."""

import argparse
import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

import evaluation
from commands import evaluate
from core.errors import UserError
from evaluation import metrics, protocols
from evaluation.embeddings import load_embeddings, save_embeddings


def example(n=60, classes=12, d=6, seed=0):
    rng = np.random.RandomState(seed)
    labels = np.arange(n) % classes
    return (rng.randn(classes, d)[labels] + 0.8 * rng.randn(n, d)).astype(np.float32), labels


def parse(*words):
    parser = argparse.ArgumentParser()
    evaluation.add_args(parser)
    parser.add_argument('--save_dir', default='')
    parser.add_argument('--embeddings', default='')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--cluster', default='')
    return parser.parse_args(words)


def test_retrieval_reports_what_it_says():
    x, labels = example()
    result = protocols.retrieval(x, labels, [1, 4], clustering='fast', extended=True)
    assert result['recall'] == {str(k): v for k, v in metrics.recall_at_k(x, labels, [1, 4]).items()}
    assert result['precision']['1'] == result['recall']['1']
    assert 0 < result['map_at_r'] <= result['r_precision'] < 1 and result['mean_rank'] >= 1
    assert (result['n_query'], result['n_gallery'], result['lone_queries']) == (60, 59, 0)
    assert result['nmi_arithmetic'] != result['nmi_geometric'] and 0 < result['f1'] < 1 and 0 < result['ami'] < 1
    assert result['warnings'] == []
    text = protocols.table(result)
    assert 'Recall@4' in text and 'NMI (geometric mean)' in text and '59 gallery' in text


def test_lone_queries_are_counted_and_said():
    x, labels = example()
    labels[7] = 99
    result = protocols.retrieval(x, labels, [59])
    assert result['lone_queries'] == 1 and result['recall']['59'] == pytest.approx(59 / 60)
    assert '1 of 60 queries has no other item' in result['warnings'][0]
    query = np.arange(60) < 12
    labels[12:][labels[12:] == 3] = 4
    assert protocols.retrieval(x, labels, [1], query)['lone_queries'] == 2


def test_precision_leaves_lone_queries_out():
    x = np.array([[0.0], [1.0], [3.0], [9.0]], dtype=np.float32)
    result = protocols.retrieval(x, ['a', 'a', 'a', 'b'], [1, 3], extended=True)
    assert result['precision'] == {'1': 1.0, '3': pytest.approx(2 / 3)}    # the lone b would make it 0.75 and 0.5


def test_precision_in_pieces_is_the_same(monkeypatch):
    x, labels = example()
    whole = metrics.precision_at_k(x, labels, [1, 7])
    monkeypatch.setattr(metrics, 'LISTED', 70)
    assert metrics.precision_at_k(x, labels, [1, 7]) == whole


@pytest.mark.parametrize('labels, words', [
    (np.array([0, 0, 1, 1, np.nan, np.nan]), r'2 labels are NaN or empty, rows 4, 5'),
    (np.array(['a', 'a', 'b', '', 'b', 'b']), '1 label is NaN or empty, row 3'),
    (np.array(['a', 'a', 'b', None, ' ', 'b'], dtype=object), 'rows 3, 4'),
])
def test_items_without_a_class_are_not_one_class(labels, words):
    with pytest.raises(UserError, match=words):
        protocols.retrieval(np.eye(6), labels, [1])


def test_zero_vectors_are_said():
    x, labels = example()
    x[[3, 5]] = 0
    assert protocols.retrieval(x, labels, [1])['warnings'] == ['zero vectors in rows 3, 5']


def broken(change, **options):
    x, labels = example()
    options = dict({'ks': [1]}, **options)
    x, labels = change(x, labels) or (x, labels)
    return lambda: protocols.retrieval(x, labels, **options)


def assign(array, index, value):
    array[index] = value


@pytest.mark.parametrize('call, words', [
    (broken(lambda x, y: assign(x, [4, 9], np.nan)), 'NaN or infinite numbers in rows 4, 9'),
    (broken(lambda x, y: assign(x, slice(20), np.inf)), r'7, 8, 9 \(20 in all\)'),
    (broken(lambda x, y: assign(x, 2, 0.0), metric='cosine'), 'zero vectors, row 2'),
    (broken(lambda x, y: assign(y, slice(None), 3)), 'all 60 items have the label 3'),
    (broken(lambda x, y: (x, np.arange(60))), 'no query has another item of its class'),
    (broken(lambda x, y: (x, y[:50])), '60 embeddings but labels of shape'),
    (broken(lambda x, y: (x.ravel(), y)), 'expected .N, D.'),
    (broken(lambda x, y: None, ks=[1, 60]), 'recallk=1,60: each K must be from 1 to 59'),
    (broken(lambda x, y: None, query=np.arange(60) < 50, ks=[11]), 'from 1 to 10'),
])
def test_bad_embeddings_are_named(call, words):
    with pytest.raises(UserError, match=words):
        call()


def test_classification():
    logits = np.eye(4)[[0, 1, 1, 2, 0]]
    result = protocols.classification(logits, [0, 1, 2, 2, 0])
    assert result == {'accuracy': 0.8, 'macro_accuracy': pytest.approx((1 + 1 + 0.5) / 3), 'n': 5, 'num_classes': 4}
    assert protocols.classification(logits.argmax(axis=1), [0, 1, 2, 2, 0])['accuracy'] == 0.8
    with pytest.raises(UserError, match='row 1'):
        protocols.classification([[0.0, 1.0], [np.nan, 0.0]], [0, 1])


def test_score_file_writes_the_result_in_one_step(tmp_path, capsys):
    x, labels = example()
    query = np.arange(60) < 24
    written = save_embeddings(tmp_path / 'in.npz', x, labels, [f'{i}.jpg' for i in range(60)], query)
    assert written == f'{tmp_path}/in.npz, {tmp_path}/in.csv'
    args = parse('--embeddings', str(tmp_path / 'in.npz'), '--recallk=1,10', '--save_dir', str(tmp_path / 'a/b'),
                 '--nmi')
    loaded, folder = evaluate.score_file(args)
    assert len(loaded.labels) == 60 and folder == tmp_path / 'a/b'
    stored = json.loads((tmp_path / 'a/b/result.json').read_text())
    assert stored['recall'] == protocols.retrieval(x, labels, [1, 10], query)['recall']
    assert stored['selection']['evaluated']['recall'] == stored['recall'] and stored['label'] == 'as given'
    assert stored['selection']['last'] is None and stored['n_query'] == 24
    assert [p.name for p in (tmp_path / 'a/b').iterdir()] == ['result.json']
    assert 'Recall@10' in capsys.readouterr().out


@pytest.mark.parametrize('suffix', ['.npz', '.npy'])
def test_embeddings_survive_a_file(tmp_path, suffix):
    x, labels = example()
    query = labels < 3
    paths = [f'a, "b" {i}.jpg' for i in range(60)]
    save_embeddings(str(tmp_path / 'e') + suffix, x, labels, paths, query)
    loaded = load_embeddings(str(tmp_path / 'e') + suffix)
    assert np.array_equal(loaded.embeddings, x) and np.array_equal(loaded.labels, labels)
    assert np.array_equal(loaded.query, query) and list(loaded.paths) == paths
    with open(tmp_path / 'e.csv', newline='') as stream:
        rows = list(csv.DictReader(stream))
    assert rows[59] == {'path': paths[59], 'label': '11', 'query': '0'}


@pytest.mark.parametrize('arrays, words', [
    ({'labels': np.zeros(3)}, '`embeddings` is missing'),
    ({'embeddings': np.ones((3, 2))}, '`labels` is missing'),
    ({'embeddings': np.ones(3), 'labels': np.zeros(3)}, 'expected numbers'),
    ({'embeddings': np.ones((3, 2)), 'labels': np.zeros(4)}, 'as there are 3 embeddings'),
    ({'embeddings': np.ones((3, 2)), 'labels': np.zeros(3), 'query': np.ones(2, dtype=bool)}, '`query` has shape'),
    ({'embeddings': np.array([[None]]), 'labels': np.zeros(1)}, 'plain arrays'),
])
def test_bad_files_are_named(tmp_path, arrays, words):
    np.savez(tmp_path / 'bad.npz', **arrays)
    with pytest.raises(UserError, match=words):
        load_embeddings(tmp_path / 'bad.npz')


def test_files_that_claim_more_than_they_hold_are_not_believed(tmp_path):
    import io
    import zipfile

    def header(shape):
        stream = io.BytesIO()
        np.lib.format.write_array_header_2_0(stream, {'descr': '<f4', 'fortran_order': False, 'shape': shape})
        return stream.getvalue()
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / 'large.npz', 'w', kind) as archive:
            archive.writestr('embeddings.npy', header((10 ** 9, 1000)))
        with pytest.raises(UserError, match='4,000,000,000,000 bytes, but holds 0'):
            load_embeddings(tmp_path / 'large.npz')
    (tmp_path / 'large.npy').write_bytes(header((10 ** 9, 1000)) + bytes(40))
    with pytest.raises(UserError, match='but holds 40'):
        load_embeddings(tmp_path / 'large.npy')


def test_large_files_stay_on_the_disk(tmp_path):
    x, labels = example()
    for name in ('a.npz', 'a.npy'):
        save_embeddings(tmp_path / name, x, labels)
        loaded = load_embeddings(tmp_path / name)
        assert np.array_equal(loaded.embeddings, x) and isinstance(loaded.embeddings.base, np.memmap)
        assert protocols.retrieval(loaded.embeddings, labels, [1]) == protocols.retrieval(x, labels, [1])


def test_tables_are_read_as_those_of_data_sets_are(tmp_path):
    np.save(tmp_path / 'e.npy', np.eye(5, dtype=np.float32))
    (tmp_path / 'e.csv').write_text('\ufeffLabel , Query,Path\n01,yes,a\n1, 1,b\n01,1.0,c\n1,no,d\n1,0.0,e\n')
    loaded = load_embeddings(tmp_path / 'e.npy')
    assert loaded.labels.tolist() == ['01', '1', '01', '1', '1'] and loaded.query.tolist() == [True] * 3 + [False] * 2
    (tmp_path / 'e.csv').write_text('label\n1\n2\nnan\n4\n5\n')
    with pytest.raises(UserError, match=r'e.csv, line 4'):
        load_embeddings(tmp_path / 'e.npy')


def test_class_names_and_formulas_survive_a_file(tmp_path):
    names, paths = ['=1+1', '-2', '@x', "'=y"], ['+a', 'b', '=HYPERLINK("c")', '\udcff.jpg']
    save_embeddings(tmp_path / 'e.npy', np.eye(4), ['=a', '=a', 'b', 'b'], paths, names=names)
    loaded = load_embeddings(tmp_path / 'e.npy')
    assert loaded.names.tolist() == names and loaded.paths.tolist() == paths
    assert loaded.labels.tolist() == ['=a', '=a', 'b', 'b']
    with open(tmp_path / 'e.csv', newline='', errors='surrogateescape') as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    assert not any(cell.startswith(('=', '+', '@')) for cell in cells)


def test_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match='no such file'):
        load_embeddings(tmp_path / 'absent.npz')
    (tmp_path / 'text.npz').write_text('hello')
    with pytest.raises(UserError, match='not a NumPy'):
        load_embeddings(tmp_path / 'text.npz')
    np.save(tmp_path / 'alone.npy', np.ones((2, 2)))
    with pytest.raises(UserError, match='alone.csv, which is missing'):
        load_embeddings(tmp_path / 'alone.npy')
    with pytest.raises(UserError, match='.npz or .npy'):
        save_embeddings(tmp_path / 'x.txt', np.ones((2, 2)), [0, 1])


def test_flags_reach_the_protocol():
    args = parse('--recallk=1,2', '--metric=cosine', '--clustering=heated_up', '--nmi')
    assert vars(args) == vars(SimpleNamespace(recallk=[1, 2], metric='cosine', clustering='heated_up', nmi=True,
                                              embeddings='', save_dir='', seed=0, cluster=''))
