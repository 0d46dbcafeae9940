"""An index follows its folder: new, changed, vanished, unreadable and deleted pictures, whatever holds it."""

import os
from collections import Counter

import cv2
import numpy as np
import pytest
from PIL import Image

from core.errors import UserError
from serving import index as indexes
from serving import photos, search
from serving.milvus import is_milvus, number
from tests.serving.stub import album, encoder, picture, png_bomb, write


def milvus_or_skip():
    pytest.importorskip('pymilvus', reason='Milvus is optional: pip install -r requirements-milvus.txt')
    pytest.importorskip('milvus_lite', reason='Milvus Lite is optional: pip install -r requirements-milvus.txt')


@pytest.fixture(params=['folder', 'milvus'])
def name(request, tmp_path):
    if request.param == 'milvus':
        milvus_or_skip()
        return str(tmp_path / 'photos.db')
    return str(tmp_path / 'photos.index')


def build(name, root, engine=None, **options):
    engine = engine or encoder()
    index = indexes.open_index(name, engine, root=root, write=True, tell=lambda text: None, **options)
    try:
        return indexes.update(index, engine, root, batch_size=5), index.prepare()
    finally:
        index.close()


def opened(name, engine=None, **options):
    return indexes.open_index(name, engine, tell=lambda text: None, **options)


def test_the_index_follows_its_folder(name, tmp_path):
    root = album(tmp_path / 'photos')
    report, words = build(name, root)
    assert report[:4] == (12, 0, 0, 0) and report.bad == []
    assert '12 images' in words
    index = opened(name)
    before = {image.path: image.id for image in index.page()}
    index.close()
    assert len(before) == 12

    engine = encoder()
    assert build(name, root, engine)[0][:4] == (0, 0, 0, 12) and engine.engine.batches == []
    write(root / 'class1' / '2.png', 999)
    os.utime(root / 'class1' / '2.png', ns=(1, 1))
    (root / 'class0' / '0.png').unlink()
    write(root / 'new' / 'a.png', 50)
    (root / 'class2' / 'broken.jpg').write_bytes(b'\xff\xd8\xff\xe0 cut off')
    report, _ = build(name, root)
    assert report[:4] == (1, 1, 1, 10)
    assert [path for path, _ in report.bad] == ['class2/broken.jpg']

    index = opened(name)
    after = {image.path: image.id for image in index.page()}
    assert set(after) == set(before) - {'class0/0.png'} | {'new/a.png'}
    assert after['class1/2.png'] == before['class1/2.png']
    vector = encoder().embed([picture(999)])
    assert np.allclose(index.vectors([after['class1/2.png']]), vector, atol=1e-6)
    assert index.labels() == {'class0': 3, 'class1': 4, 'class2': 4, 'new': 1}
    hits = search.nearest(index, vector[0], k=3)
    assert hits[0].path == 'class1/2.png' and hits[0].distance == pytest.approx(0, abs=1e-3)
    assert len(index) == 12 and index.ids().tolist() == sorted(after.values())
    index.close()


def test_search_is_ordered_filtered_and_bounded(name, tmp_path):
    root = album(tmp_path / 'photos', classes=4, each=8)
    build(name, root)
    index, engine = opened(name), encoder()
    vector = engine.embed([picture(305)])[0]
    images = index.page()
    vectors = dict(zip((image.id for image in images), index.vectors([image.id for image in images])))
    expected = sorted((float(np.linalg.norm(vectors[image.id] - vector)), image.path) for image in images)
    hits = search.nearest(index, vector, k=10)
    assert [hit.path for hit in hits] == [path for _, path in expected[:10]]
    assert np.allclose([hit.distance for hit in hits], [far for far, _ in expected[:10]], atol=1e-3)
    only = search.nearest(index, vector, k=99, labels=['class0', 'class2'])
    assert {hit.label for hit in only} == {'class0', 'class2'} and len(only) == 16
    assert search.nearest(index, vector, k=5, labels=['none']) == []
    near = search.nearest(index, vector, k=99, max_distance=expected[4][0] + 1e-3)
    assert [hit.path for hit in near] == [path for _, path in expected[:5]]
    assert hits[0].id not in [hit.id for hit in search.nearest(index, vector, k=31, leave_out=hits[0].id)]
    index.close()


def test_a_deleted_image_stays_out_until_its_file_changes(name, tmp_path):
    root = album(tmp_path / 'photos')
    build(name, root)
    index = opened(name, write=True)
    image = index.page()[0]
    index.delete([image.id])
    assert len(index) == 11 and index.images([image.id]) == {}
    index.close()
    assert build(name, root)[0][:4] == (0, 0, 0, 12)
    assert len(opened_and_closed(name)) == 11
    write(root / image.path, 5000, size=(60, 60))
    assert build(name, root)[0][:4] == (0, 1, 0, 11)
    assert len(opened_and_closed(name)) == 12


def opened_and_closed(name):
    index = opened(name)
    paths = [image.path for image in index.page()]
    index.close()
    return paths


def test_another_model_another_size_and_another_folder_are_refused(name, tmp_path):
    root = album(tmp_path / 'photos')
    build(name, root)
    with pytest.raises(UserError, match='was made by another model'):
        opened(name, encoder(model_hash='colours-2'))
    with pytest.raises(UserError, match='holds vectors of 48 numbers, the model gives 75'):
        opened(name, encoder(cells=5))
    other = album(tmp_path / 'others')
    with pytest.raises(UserError, match='was made from the folder'):
        build(name, other)


def test_photos_that_moved_keep_their_vectors(name, tmp_path):
    root = album(tmp_path / 'photos')
    build(name, root)
    (tmp_path / 'elsewhere').mkdir()
    new = root.rename(tmp_path / 'elsewhere' / 'photos')
    with pytest.raises(UserError, match='was made from the folder'):
        build(name, album(tmp_path / 'others' / 'deeper', classes=1, each=1).parent)
    engine = encoder()
    assert build(name, new, engine)[0][:4] == (0, 0, 0, 12) and engine.engine.batches == []
    index = opened(name)
    assert index.about['root'] == str(new) and len(index) == 12
    index.close()


def test_an_emptied_folder_does_not_empty_the_index(name, tmp_path):
    root = album(tmp_path / 'photos')
    build(name, root)
    for path in root.glob('*/*.png'):
        path.rename(path.with_name('x' + path.name))
    with pytest.raises(UserError, match='none of the 12 indexed pictures is left'):
        build(name, root)
    assert len(opened_and_closed(name)) == 12


def test_an_index_that_is_not_there_is_one_sentence(name):
    with pytest.raises(UserError, match='holds no index. Fix: python3 main.py index'):
        opened(name)


def test_bad_files_are_listed_with_their_reason_and_not_tried_again(tmp_path):
    root, name = album(tmp_path / 'photos'), tmp_path / 'photos.index'
    (root / 'class0' / 'text.jpg').write_text('no picture')
    whole = cv2.imencode('.jpg', picture(1, size=(400, 300)))[1].tobytes()
    (root / 'class0' / 'half.jpg').write_bytes(whole[:len(whole) // 2])
    (root / 'class0' / 'huge.png').write_bytes(png_bomb(30000, 30000))
    (root / 'class0' / 'out.png').symlink_to(write(tmp_path / 'secret.png', 1))
    os.symlink('nowhere', root / 'class0' / 'dangling.png')
    report, _ = build(name, root)
    reasons = dict(report.bad)
    assert report.added == 12 and sorted(reasons) == [f'class0/{file}' for file in (
        'half.jpg', 'huge.png', 'out.png', 'text.jpg')]
    assert 'not an image' in reasons['class0/text.jpg'] and 'outside' in reasons['class0/out.png']
    assert '30,000 x 30,000' in reasons['class0/huge.png']
    engine = encoder()
    again, _ = build(name, root, engine)
    assert dict(again.bad) == reasons and engine.engine.batches == [] and again.added == 0
    (root / 'class0' / 'half.jpg').write_bytes(whole)
    assert build(name, root)[0].added == 1


@pytest.mark.parametrize('backend', ['hnsw', 'ivfpq'])
def test_an_inexact_backend_is_built_with_its_recall_kept_and_made_again_when_damaged(tmp_path, backend, monkeypatch):
    from serving import backends, local
    monkeypatch.setattr(backends.IVFPQ, 'smallest', 300)
    monkeypatch.setattr(local, 'FEW_ALLOWED', 0)
    root, name = album(tmp_path / 'photos', classes=5, each=64), tmp_path / 'photos.index'
    words = build(name, root, backend=backend, recall=0.8)[1]
    assert words.startswith(f'{backend} over 320 images, recall@10 against exact ')
    assert 0.8 <= float(words.split('exact ')[1].split()[0]) <= 1.0
    told = []
    index = indexes.open_index(name, tell=told.append)
    assert type(index._backend).name == backend and told == []
    query = encoder().embed([picture(3)])[0]
    first = search.nearest(index, query, k=5)
    index.close()
    file = name / f'{backend}.faiss'
    file.write_bytes(file.read_bytes()[:-100])
    index = indexes.open_index(name, tell=told.append)
    assert len(told) == 1 and 'made again' in told[0]
    assert [hit.path for hit in search.nearest(index, query, k=1)] == [first[0].path]
    index.close()
    assert build(name, root)[1].split(' (')[0] == words.split(' (')[0]      # the wanted recall is kept
    assert not told[1:] and file.exists()
    index = indexes.open_index(name, tell=told.append)
    assert len(told) == 1
    index.close()
    assert build(name, root, backend='flat')[1] == 'exact search over 320 images' and not file.exists()


def test_a_reader_takes_up_what_the_writer_changes(tmp_path):
    root, name = album(tmp_path / 'photos'), tmp_path / 'photos.index'
    build(name, root)
    reader = opened(name)
    assert reader.refresh() is False
    write(root / 'new' / 'a.png', 77)
    (root / 'class0' / '0.png').unlink()
    write(root / 'class1' / '1.png', 78, size=(90, 90))
    build(name, root)
    assert reader.refresh() is True and reader.refresh() is False
    assert len(reader) == 12 and 'new' in reader.labels()
    for seed, path in ((77, 'new/a.png'), (78, 'class1/1.png')):
        size = (90, 90) if seed == 78 else (48, 40)
        assert search.nearest(reader, encoder().embed([picture(seed, size)])[0], k=1)[0].path == path
    assert 'class0/0.png' not in [hit.path for hit in search.nearest(reader, encoder().embed([picture(0)])[0], k=12)]
    reader.close()


def test_many_dead_rows_are_compacted(tmp_path, monkeypatch):
    root, name = album(tmp_path / 'photos', classes=1, each=8), tmp_path / 'photos.index'
    build(name, root)
    index = opened(name, write=True)
    monkeypatch.setattr('serving.local.DEAD', 4)
    for seed in range(2):
        files = [write(path, 900 + 10 * seed + k, size=(50, 50 + seed))
                 for k, path in enumerate(sorted(root.glob('*/*')))]
        indexes.update(index, encoder(), root)
    index.prepare()
    assert index.store.vectors.rows == 8 == len(index) and len(files) == 8
    assert search.nearest(index, encoder().embed([picture(912, (50, 51))])[0], k=1)[0].path == 'class0/2.png'
    index.close()


def test_milvus_that_fails_or_is_not_there_is_one_sentence(tmp_path):
    milvus_or_skip()
    with pytest.raises(UserError, match='cannot be reached'):
        opened('http://127.0.0.1:9')
    name = str(tmp_path / 'x.db')
    build(name, album(tmp_path / 'photos'))
    index = opened(name)
    index._client.drop_collection('images')
    with pytest.raises(UserError, match=r'^Milvus at .*x.db refuses \(search\): '):
        index.search(np.zeros((1, 48)), 3)
    index.close()


def test_milvus_lite_is_asked_one_query_at_a_time(tmp_path):
    milvus_or_skip()
    root, rng = album(tmp_path / 'photos'), np.random.RandomState(0)
    build(str(tmp_path / 'x.db'), root)
    build(str(tmp_path / 'x'), root)
    asked, queries = [], rng.randn(5, 48)
    index = opened(str(tmp_path / 'x.db'))
    search_one = index._client._client.search
    index._client._client.search = lambda name, data, **options: asked.append(len(data)) or search_one(
        name, data=data, **options)
    ids, far = index.search(queries, 3)
    paths = {image.id: image.path for image in index.page()}
    index.close()
    local = opened(str(tmp_path / 'x'))
    expected, distances = local.search(queries, 3)
    same = {image.id: image.path for image in local.page()}
    local.close()
    assert asked == [1] * 5
    assert [[paths[i] for i in row] for row in ids] == [[same[i] for i in row] for row in expected]
    np.testing.assert_allclose(far, distances, rtol=1e-4)


def test_two_paths_with_one_hash_get_two_ids(tmp_path, monkeypatch):
    milvus_or_skip()
    monkeypatch.setattr('serving.milvus.number', lambda text, bits: 7)
    root, name = album(tmp_path / 'photos', classes=1, each=3), str(tmp_path / 'x.db')
    build(name, root)
    assert opened_and_closed(name) == ['class0/0.png', 'class0/1.png', 'class0/2.png']
    write(root / 'class0' / '1.png', 50, size=(90, 90))
    write(root / 'class0' / '9.png', 51)
    assert build(name, root)[0][:4] == (1, 1, 0, 2)
    index = opened(name)
    assert [image.id for image in index.page()] == [7, 8, 9, 10]
    index.close()


def test_addresses_of_milvus():
    assert [is_milvus(name) for name in ('photos.index', './file.db', 'http://localhost:19530', 'photos')] == [
        False, True, True, False]
    assert 0 <= number('a', 53) < 2 ** 53 and number('a', 53) != number('b', 53)


def test_milvus_in_use_by_another_process_is_refused(tmp_path):
    milvus_or_skip()
    import subprocess
    import sys
    name, root = str(tmp_path / 'x.db'), album(tmp_path / 'photos')
    build(name, root)
    index = opened(name)
    code = f'from serving.index import open_index\nfrom core.errors import UserError\n' \
           f'try:\n    open_index({name!r})\nexcept UserError as error:\n    print(error)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          cwd=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    index.close()
    assert 'is in use by another process' in done.stdout


def test_milvus_lite_keeps_what_it_acknowledged_through_kill_9(tmp_path):
    milvus_or_skip()
    import subprocess
    import sys
    name, root = str(tmp_path / 'x.db'), os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = f'import numpy as np\nfrom serving.milvus import MilvusIndex\nfrom serving.store import File\n' \
           f'index = MilvusIndex({name!r}, write=True, about=dict(dim=4, model="m", root="/"))\nk = len(index)\n' \
           'while True:\n    index.add([File(f"a/{k + i}", "a", 1, 1) for i in range(5)], np.full((5, 4), k))\n' \
           '    k += 5\n    print(k, flush=True)\n'
    for lines in (4, 9):
        child = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, cwd=root)
        told = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        told += child.stdout.read().split('\n')[:-1]
        child.wait()
        acknowledged = max(map(int, told))
        index = opened(name)
        paths = sorted(image.path for image in index.page(limit=10000))
        index.close()
        assert len(paths) == len(set(paths)) >= acknowledged
        assert {f'a/{k}' for k in range(acknowledged)} <= set(paths)


def test_a_photo_without_an_ending_is_indexed_and_what_is_left_out_is_counted(tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / 'photo.png')
    (tmp_path / 'a' / '__MACOSX').mkdir(parents=True)
    (tmp_path / 'photo.png').rename(tmp_path / 'a' / 'photo')
    (tmp_path / 'a' / 'notes.txt').write_text('x')
    (tmp_path / 'a' / 'gone.jpg').symlink_to('nowhere')
    (tmp_path / 'b').symlink_to(tmp_path / 'a')
    ignored = Counter()
    assert [file.path for file in photos.scan(tmp_path, ignored)] == ['a/photo']
    assert ignored == {'file ending in .txt': 1, 'link to nothing': 1, 'folder __MACOSX': 1, 'link to a folder': 1}
