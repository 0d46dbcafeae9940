"""The store: what was acknowledged stays, what was not goes, and whatever is damaged is told in one sentence."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from core.errors import UserError
from serving import disk
from serving.store import Damaged, File, Store

ABOUT = {'dim': 4, 'model': 'm', 'root': '/photos'}


def files(*names):
    return [File(name, name.split('/')[0], 10, 20) for name in names]


def rows(n, seed=0):
    return np.random.RandomState(seed).rand(n, 4).astype(np.float32)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / 'index', write=True, about=ABOUT)
    yield store
    store.close()


def vectors_of(store):
    living, ids, _ = store.living()
    return dict(zip(ids.tolist(), np.array(store.vectors.matrix()[living]).tolist()))


def test_what_is_added_is_there_after_opening_again(store):
    data = rows(3)
    ids = store.add(files('a/1', 'b/2', 'a/3'), data)
    store.close()
    again = Store(store.folder)
    assert len(again) == 3 and again.labels() == {'a': 2, 'b': 1}
    assert vectors_of(again) == dict(zip(ids, data.tolist()))
    assert [image.path for image in again.page(after=ids[0], label='a')] == ['a/3']
    assert again.about['dim'] == 4 and again.about['root'] == '/photos'
    again.close()


def test_a_path_keeps_its_id_and_counts_once(store):
    first = store.add(files('a/1', 'a/2'), rows(2))
    again = store.add(files('a/2'), rows(1, seed=5))
    assert again == [first[1]] and len(store) == 2
    assert np.allclose(vectors_of(store)[first[1]], rows(1, seed=5)[0])


def test_ids_are_never_given_twice(store):
    first = store.add(files('a/1', 'a/2'), rows(2))
    store.forget(first)
    assert min(store.add(files('a/1'), rows(1))) > max(first)


def test_a_deleted_image_is_remembered_and_a_vanished_one_is_not(store):
    one, two, three = store.add(files('a/1', 'a/2', 'a/3'), rows(3))
    store.delete([one])
    store.forget([two])
    assert {path: known.deleted for path, known in store.files().items()} == {'a/1': 1, 'a/3': 0}
    assert list(store.images([one, two, three])) == [three]


def test_compacting_keeps_every_image_and_drops_dead_rows(store):
    ids = store.add(files(*(f'a/{k}' for k in range(10))), rows(10))
    store.forget(ids[::2])
    before = vectors_of(store)
    assert store.compact() == 5
    assert vectors_of(store) == before and store.vectors.rows == 5
    assert sorted(path.name for path in store.folder.glob('*.f32')) == ['vectors.1.f32']
    store.add(files('b/1'), rows(1))
    assert len(store) == 6


def test_a_second_writer_is_refused_and_a_reader_is_not(store):
    with pytest.raises(UserError, match=f'is being written by process {os.getpid()}'):
        Store(store.folder, write=True)
    Store(store.folder).close()


def test_rows_that_nothing_names_are_cut_off(store):
    store.add(files('a/1'), rows(1))
    path = store.vectors.path
    store.close()
    with open(path, 'ab') as file:
        file.write(b'x' * 21)       # a row and a bit: what a killed process may leave
    again = Store(store.folder, write=True)
    assert path.stat().st_size == 16 and len(again) == 1 and again.lost == 0
    again.close()


@pytest.mark.parametrize('harm', ['short', 'gone', 'other'])
def test_damaged_vectors_are_refused_by_a_reader_and_dropped_by_the_writer(store, harm):
    store.add(files('a/1', 'a/2', 'a/3'), rows(3))
    path = store.vectors.path
    store.close()
    data = path.read_bytes()
    path.write_bytes({'short': data[:-5], 'gone': b'', 'other': data[:32] + b'\0' * 16}[harm])
    lost = 3 if harm == 'gone' else 1
    with pytest.raises(Damaged, match=f'{lost} of 3 images lost their vectors. Fix: python3 main.py index'):
        Store(store.folder)
    again = Store(store.folder, write=True)
    assert again.lost == lost and len(again) == 3 - lost
    again.add(files('a/4'), rows(1))
    again.close()
    Store(store.folder).close()


@pytest.mark.parametrize('vectors, words', [(np.ones((1, 5)), 'vectors of 4 numbers, the model gives 5'),
                                            (np.full((1, 4), np.nan), 'NaN'), (np.ones(4), 'do not belong together')])
def test_wrong_vectors_are_refused_and_change_nothing(store, vectors, words):
    with pytest.raises(UserError, match=words):
        store.add(files('a/1'), vectors)
    assert len(store) == 0 and store.vectors.path.stat().st_size == 0


@pytest.mark.parametrize('where', ['vectors', 'database'])
def test_a_full_disk_is_one_sentence_and_keeps_what_was_there(store, where, monkeypatch):
    store.add(files('a/1'), rows(1))
    if where == 'vectors':
        def full(handle):
            raise OSError(errno.ENOSPC, 'No space left on device')
        monkeypatch.setattr(disk.os, 'fsync', full)
        added = 1
    else:
        pages = store._select('pragma page_count')[0][0]
        store._select(f'pragma max_page_count = {pages + 1}')
        added = 2000
    with pytest.raises(UserError, match='is full. What was acknowledged before is safe. Fix: free'):
        store.add(files(*(f'b/{"x" * 200}{k}' for k in range(added))), rows(added))
    monkeypatch.undo()
    store.close()
    again = Store(store.folder, write=True)
    assert list(again.files()) == ['a/1'] and again.vectors.path.stat().st_size == 16 and again.lost == 0
    again.close()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / 'letter.txt').write_text('dear')
    with pytest.raises(UserError, match='is there already and is no index'):
        Store(tmp_path, write=True, about=ABOUT)
    with pytest.raises(UserError, match='holds no index. Fix: python3 main.py index'):
        Store(tmp_path / 'none')


def test_a_broken_database_is_one_sentence(tmp_path, store):
    store.close()
    (store.folder / 'images.sqlite').write_bytes(b'no database' * 100)
    with pytest.raises(UserError, match='images.sqlite cannot be used: .*Fix: make the index again'):
        Store(store.folder)


def test_a_reader_sees_what_a_writer_adds_and_where_it_moved(store):
    ids = store.add(files('a/1', 'a/2'), rows(2))
    reader = Store(store.folder)
    version = reader.version()
    store.add(files('a/3'), rows(1))
    assert reader.version() != version and reader.refresh() is False and reader.vectors.rows == 3
    store.forget(ids[:1])
    store.compact()
    assert reader.refresh() is True and vectors_of(reader) == vectors_of(store)
    reader.close()


KILLED = '''
import os, sys
sys.path.insert(0, {root!r})
import numpy as np
from serving.store import File, Store
store = Store({folder!r}, write=True, about={{"dim": 4, "model": "m", "root": "/photos"}})
k = len(store)
while True:
    files = [File(f"a/{{k + i}}", "a", 1, 1) for i in range(3)]
    store.add(files, np.full((3, 4), k, np.float32))
    k += 3
    print(k, flush=True)
'''


def test_acknowledged_images_survive_kill_9(tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    folder = tmp_path / 'index'
    acknowledged = 0
    for moment in range(4):
        child = subprocess.Popen([sys.executable, '-c', KILLED.format(root=root, folder=str(folder))],
                                 stdout=subprocess.PIPE, text=True)
        last = [child.stdout.readline() for _ in range(3 + 5 * moment)]
        child.kill()
        last += child.stdout.read().split('\n')[:-1]       # the very last line may be cut off
        child.wait()
        store = Store(folder, write=True)
        acknowledged = max([acknowledged, *(int(word) for word in last)])
        assert len(store) >= acknowledged > 0 and len(store) % 3 == 0 and store.lost == 0
        assert len(store.files()) == len(store)
        assert sorted(v[0] for v in vectors_of(store).values()) == sorted(k - k % 3 for k in range(len(store)))
        store.close()
