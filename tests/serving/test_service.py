"""The HTTP interface: answers against the index itself, limits with their reasons, adding and deleting."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.serving.live import build, serving
from tests.serving.stub import album, encoder, picture, png_bomb, write

TOKEN = 'a-token-of-more-than-16'
KEY = {'Authorization': 'Bearer ' + TOKEN}


def png(seed, size=(48, 40)):
    return cv2.imencode('.png', picture(seed, size)[:, :, ::-1])[1].tobytes()


@pytest.fixture(scope='module')
def live(tmp_path_factory):
    tmp = tmp_path_factory.mktemp('service')
    with serving(build(tmp / 'photos.index', album(tmp / 'photos')), max_bytes=200_000, max_pixels=100_000,
                 max_images=3) as service:
        service.root = tmp / 'photos'
        yield service


@pytest.fixture
def writable(tmp_path):
    with serving(build(tmp_path / 'photos.index', album(tmp_path / 'photos')), token=TOKEN) as service:
        service.root, service.index = tmp_path / 'photos', tmp_path / 'photos.index'
        yield service


def ids_by_path(live):
    return {image['path']: image['id'] for image in live.get('/images?limit=1000').json()['images']}


# ---- answers


def test_vectors_are_those_of_the_encoder(live):
    expected = encoder().embed([picture(1), picture(2)])
    answer = live.post('/embed', files=[('image', png(1)), ('image', png(2))]).json()
    assert answer['dim'] == 48 and np.allclose(answer['vectors'], expected, atol=1e-6)
    raw = live.post('/embed?format=npy', data=png(2), headers={'Content-Type': 'image/png'})
    assert np.allclose(np.load(io.BytesIO(raw.content)), expected[1:], atol=1e-6)


@pytest.mark.parametrize('how', ['body', 'form', 'vector'])
def test_search_by_picture_and_by_vector_find_the_same(live, how):
    vector = encoder().embed([picture(101)])[0]
    answer = live.post('/search?k=5', **{
        'body': {'data': png(101)}, 'form': {'files': {'image': png(101)}},
        'vector': {'json': {'vector': vector.tolist()}}}[how])
    found = answer.json()['results']
    assert [hit['path'] for hit in found][0] == 'class1/1.png' and found[0]['distance'] < 1e-3 and len(found) == 5
    paths = {image['path']: image['id'] for image in live.get('/images').json()['images']}
    index = live.app.state.library.index
    for hit in found:
        distance = np.linalg.norm(index.vectors([paths[hit['path']]])[0] - vector)
        assert hit['distance'] == pytest.approx(distance, abs=1e-3)
        assert hit['label'] == hit['path'].split('/')[0] and hit['id'] == paths[hit['path']]
    assert [hit['distance'] for hit in found] == sorted(hit['distance'] for hit in found)


def test_search_by_id_leaves_the_picture_itself_out(live):
    id = ids_by_path(live)['class1/1.png']
    found = live.post('/search?k=100', json={'id': id}).json()['results']
    assert len(found) == 11 and id not in [hit['id'] for hit in found]


def test_search_by_label_and_distance(live):
    every = live.post('/search?k=100', data=png(3)).json()['results']
    some = live.post('/search?k=100&label=class0&label=class2', data=png(3)).json()['results']
    assert some == [hit for hit in every if hit['label'] != 'class1']
    limit = every[3]['distance'] + 1e-4
    assert live.post(f'/search?k=100&max_distance={limit}', data=png(3)).json()['results'] == every[:4]


def test_images_labels_thumbnails_and_originals(live):
    paths = ids_by_path(live)
    assert len(paths) == 12 and live.get('/labels').json()['labels'][1] == {'label': 'class1', 'images': 4}
    first = live.get('/images?limit=5').json()['images']
    rest = live.get(f'/images?limit=100&after={first[-1]["id"]}').json()['images']
    assert [image['id'] for image in first + rest] == sorted(paths.values())
    assert {image['label'] for image in live.get('/images?label=class2').json()['images']} == {'class2'}
    id = paths['class0/1.png']
    original = live.get(f'/images/{id}')
    assert original.content == (live.root / 'class0/1.png').read_bytes()
    assert original.headers['Content-Type'] == 'image/png'
    small = live.get(f'/images/{id}?size=24')
    shown = Image.open(io.BytesIO(small.content))
    assert small.headers['Content-Type'] == 'image/jpeg' and shown.size == (24, 20)
    assert np.abs(np.asarray(shown, float) - np.asarray(Image.fromarray(picture(1)).resize((24, 20)), float)).mean() < 6


def test_duplicates_health_and_counters(live):
    assert live.get('/duplicates?max_distance=0.0001').json() == {'groups': []}
    groups = live.get('/duplicates?max_distance=9').json()['groups']
    assert [len(group['images']) for group in groups] == [12]
    health = live.get('/healthz').json()
    assert (health['status'], health['images'], health['writable']) == ('ok', 12, False)
    before = counter(live, 'gluon_dml_requests_total{route="/search",status="200"}')
    live.post('/search', data=png(3))
    assert counter(live, 'gluon_dml_requests_total{route="/search",status="200"}') == before + 1
    assert counter(live, 'gluon_dml_images ') == 12


def counter(live, name):
    lines = live.get('/metrics').text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)


def test_the_interface_is_described_without_the_internet(live):
    told = live.get('/openapi.json').json()
    assert {'/embed', '/search', '/images', '/images/{id}', '/healthz', '/metrics', '/labels'} <= set(told['paths'])
    assert 'multipart/form-data' in told['paths']['/search']['post']['requestBody']['content']
    page = live.get('/docs').text
    assert 'http' not in page.replace('http-', '')
    for file in ('swagger-ui-bundle.js', 'swagger-ui.css'):
        assert f'/docs/files/{file}' in page and live.get(f'/docs/files/{file}').status_code == 200


# ---- limits


@pytest.mark.parametrize('path, options, status, words', [
    ('/search', {'data': b''}, 400, 'no picture'),
    ('/search', {'data': b'hello'}, 415, 'no JPEG, PNG'),
    ('/search', {'data': b'<svg xmlns="http://www.w3.org/2000/svg"/>'}, 415, 'no JPEG, PNG'),
    ('/search', {'data': png_bomb(20000, 20000)}, 413, 'pixels'),
    ('/search', {'data': png_bomb(400, 300)}, 413, '400 x 300 pixels; at most 100,000'),
    ('/search', {'data': png(1)[:200]}, 422, 'cannot be used'),
    ('/search', {'data': b'x' * 200_001}, 413, 'larger than the 200,000 bytes'),
    ('/search', {'data': iter([b'x' * 100_000] * 3)}, 413, 'larger than the 200,000 bytes'),
    ('/embed', {'files': [('image', png(k)) for k in range(4)]}, 400, 'Too many files'),
    ('/embed', {'files': [('image', png(1)), ('image', b'no')]}, 415, 'picture 2 of the request'),
    ('/search', {'files': [('image', png(1)), ('image', png(2))]}, 400, 'one picture'),
    ('/search', {'json': {'id': 99999}}, 404, 'no image 99999'),
    ('/search', {'json': {'vector': [1.0, 2.0]}}, 422, '48 finite numbers'),
    ('/search', {'json': {}}, 422, 'either id or vector'),
    ('/search', {'json': {'id': 'x'}}, 422, 'id'),
    ('/search', {'json': {'id': 10 ** 30}}, 422, 'id'),
    ('/search', {'data': b'{', 'headers': {'Content-Type': 'application/json'}}, 422, 'JSON'),
    ('/search?k=0', {'data': png(1)}, 422, 'greater than or equal to 1'),
    ('/search?k=1001', {'data': png(1)}, 422, 'less than or equal to 1000'),
    ('/search?max_distance=-1', {'data': png(1)}, 422, 'greater than'),
    ('/search', {'data': b'--x', 'headers': {'Content-Type': 'multipart/form-data'}}, 400, 'boundary'),
    ('/images', {'data': png(1)}, 403, 'read-only'),
])
def test_what_is_refused_and_why(live, path, options, status, words):
    answer = live.post(path, **options)
    assert answer.status_code == status and words in answer.text
    assert live.get('/healthz').json()['status'] == 'ok'


@pytest.mark.parametrize('path, status', [('/images/99999', 404), ('/images/x', 422), (f'/images/{10 ** 30}', 422),
                                          ('/images/1?size=5', 422),
                                          ('/images/../../etc/passwd', 404), ('/page/../serving/app.py', 404),
                                          ('/page/%2e%2e/%2e%2e/main.py', 404), ('/nothing', 404)])
def test_what_is_not_there(live, path, status):
    assert live.get(path).status_code == status


def test_a_link_out_of_the_folder_is_not_followed(live, tmp_path):
    id, file = ids_by_path(live)['class2/3.png'], live.root / 'class2' / '3.png'
    data = file.read_bytes()
    file.unlink()
    file.symlink_to(write(tmp_path / 'secret.png', 5))
    try:
        assert live.get(f'/images/{id}').status_code in (404, 410)
        assert live.get(f'/images/{id}?size=33').status_code == 410
    finally:
        file.unlink()
        file.write_bytes(data)


def test_another_name_of_the_host_is_refused_and_answers_are_marked(live):
    assert live.get('/healthz', headers={'Host': 'evil.example'}).status_code == 400
    headers = live.get('/healthz').headers
    assert headers['X-Content-Type-Options'] == 'nosniff' and "default-src 'self'" in headers['Content-Security-Policy']


# ---- adding and deleting


def test_adding_and_deleting(writable):
    answer = writable.post('/images', files=[('image', ('../../x\x1b.png', png(555))), ('image', png(556))],
                           data={'label': 'new ones'}, headers=KEY)
    assert answer.status_code == 201
    ids = answer.json()['ids']
    assert len(set(ids)) == 2 and writable.get('/healthz').json()['images'] == 14
    again = writable.post('/images?label=new ones', data=png(555), headers=KEY)
    assert again.json()['ids'] == ids[:1] and writable.get('/healthz').json()['images'] == 14
    found = writable.post('/search?k=1', data=png(556)).json()['results'][0]
    assert found['id'] == ids[1] and found['label'] == 'new ones' and found['distance'] < 1e-3
    files = sorted((writable.root / 'new ones').iterdir())
    assert len(files) == 2 and writable.get(f'/images/{ids[1]}').content == png(556)

    own = ids_by_path(writable)['class0/0.png']
    for id in (ids[0], own):
        assert writable.delete(f'/images/{id}', headers=KEY).status_code == 204
        assert writable.get(f'/images/{id}').status_code == 404
        assert writable.delete(f'/images/{id}', headers=KEY).status_code == 404
    assert (writable.root / 'class0/0.png').is_file() and len(list((writable.root / 'new ones').iterdir())) == 1
    assert writable.get('/healthz').json()['images'] == 12


def test_what_was_added_is_there_after_a_restart_and_for_the_index_command(tmp_path):
    name = build(tmp_path / 'photos.index', album(tmp_path / 'photos'))
    with serving(name, token=TOKEN) as live:
        id, = live.post('/images?label=b', data=png(77), headers=KEY).json()['ids']
    build(name, tmp_path / 'photos')
    with serving(name) as live:
        assert len(ids_by_path(live)) == 13
        assert live.post('/search?k=1', data=png(77)).json()['results'][0]['id'] == id


@pytest.mark.parametrize('headers, status', [({}, 401), ({'Authorization': 'Bearer wrong'}, 401),
                                             ({'Authorization': 'Basic ' + TOKEN}, 401), (KEY, 201)])
def test_only_the_token_may_add(writable, headers, status):
    assert writable.post('/images', data=png(1000), headers=headers).status_code == status
    assert writable.delete('/images/99999', headers=headers).status_code == (401 if status == 401 else 404)


@pytest.mark.parametrize('label', ['../up', 'a/b', '.hidden', 'x\x1b', 'x' * 101, '..'])
def test_a_label_cannot_leave_the_folder(writable, label):
    assert writable.post('/images', files={'image': png(1)}, data={'label': label}, headers=KEY).status_code == 422
    assert writable.get('/healthz').json()['images'] == 12


def test_a_reader_sees_what_the_index_command_adds(tmp_path, monkeypatch):
    monkeypatch.setattr('serving.service.library.FRESH', 0.0)
    name, root = tmp_path / 'photos.index', album(tmp_path / 'photos')
    with serving(build(name, root)) as live:
        assert live.get('/labels').json()['labels'][-1]['label'] == 'class2'
        write(root / 'new' / 'x.png', 321)
        build(name, root)
        assert live.get('/labels').json()['labels'][-1] == {'label': 'new', 'images': 1}
        assert live.post('/search?k=1', data=png(321)).json()['results'][0]['path'] == 'new/x.png'


def test_a_service_saves_what_its_backend_learned(tmp_path):
    from serving import index as indexes
    name, root = tmp_path / 'i', album(tmp_path / 'photos', classes=1, each=30)
    index = indexes.open_index(name, encoder(), root=root, write=True, backend='hnsw', tell=print)
    indexes.update(index, encoder(), root)
    index.prepare()
    index.close()
    with serving(name, token=TOKEN) as live:
        assert live.post('/images?label=b', data=png(77), headers=KEY).status_code == 201
    index = indexes.open_index(name, tell=print)
    noted = index.store.get('cache')
    assert (noted['rows'], noted['built']) == (31, 30) and type(index._backend).name == 'hnsw'
    index.close()
