"""models.load: a run as a function from pictures to embeddings."""

import hashlib
import json

import cv2
import numpy as np
import pytest

import models
from core.errors import UserError
from core.params_file import read_params
from core.runtime import nd
from models import weights


@pytest.fixture
def run(tmp_path):
    """(run folder, its network) with another order of channels than the trunk's own."""
    net = models.build('convnet', 6, image_size=32, transform='margin', channel_order='bgr', mean=[.3], std=[.2])
    (tmp_path / 'run/last').mkdir(parents=True)
    net.save(tmp_path / 'run/last/net.params')
    return tmp_path / 'run', net


def test_load_gives_the_embeddings_of_the_run_for_paths_and_arrays(run, tmp_path):
    folder, net = run
    rng = np.random.RandomState(0)
    photos = [rng.randint(0, 256, (50 + i, 41, 3)).astype(np.uint8) for i in range(3)]
    files = []
    for i, photo in enumerate(photos):
        files.append(str(tmp_path / f'{i}.png'))
        cv2.imwrite(files[-1], photo[:, :, ::-1])
    side = round(32 * 256 / 224)
    start = (side - 32) // 2
    views = np.stack([cv2.resize(photo, (side, side))[start:start + 32, start:start + 32] for photo in photos])
    expected = net(nd.array(views, dtype='uint8')).embedding.asnumpy().copy()
    for source in (folder, folder / 'last', folder / 'last/net.params'):
        embed = models.load(source, batch_size=2)
        assert (embed.dim, embed.image_size, embed.transform) == (6, 32, 'margin')
        for images in (files, photos):
            vectors = embed(images)
            assert vectors.dtype == np.float32
            np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)
    assert embed(files[0]).shape == embed(photos[0]).shape == (1, 6) and embed([]).shape == (0, 6)
    assert embed(np.stack([photos[0]] * 3)).shape == (3, 6)
    np.testing.assert_allclose(embed(photos[0][:, :, 0]), embed(np.repeat(photos[0][:, :, :1], 3, axis=2)), rtol=1e-5)


@pytest.mark.parametrize('images, words', [(np.zeros((4, 4, 3)), 'float64'), (['no.jpg'], 'no.jpg'), (3, 'int'),
                                           ([np.zeros((4, 4, 2), np.uint8)], r'\(4, 4, 2\)')])
def test_load_says_which_picture_is_none(run, images, words):
    with pytest.raises(UserError, match=words):
        models.load(run[0])(images)


def test_load_names_what_is_missing(tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='no such file or folder'):
        models.load(tmp_path / 'none')
    with pytest.raises(UserError, match='holds no trained network'):
        models.load(tmp_path / 'empty')


def test_load_finds_the_newest_checkpoint_without_a_link_and_sees_damage(run, tmp_path):
    folder, net = run
    store = tmp_path / 'other/checkpoints'
    for name in ('last-00000001', 'last-00000020', 'last-00000300.new'):
        (store / name).mkdir(parents=True)
        (store / name / 'net.params').write_bytes(b'x')
    file = store / 'last-00000020/net.params'
    file.write_bytes((folder / 'last/net.params').read_bytes())
    assert models.load(tmp_path / 'other', 'best').dim == 6
    content = file.read_bytes()
    manifest = {'net.params': [len(content), hashlib.sha256(content).hexdigest()]}
    (file.parent / 'manifest.json').write_text(json.dumps(manifest))
    assert models.load(tmp_path / 'other').dim == 6
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match=r'net\.params is damaged'):
        models.load(tmp_path / 'other')


def test_restoring_a_checkpoint_brings_back_its_preprocessing(run):
    """The flags of an evaluation do not know what FILE.json said when the run was trained."""
    folder, net = run
    again = models.build('convnet', 6, image_size=32)
    image = nd.array(np.random.RandomState(1).randint(0, 256, (2, 32, 32, 3)), dtype='uint8')
    again(image)
    file = folder / 'last/net.params'
    weights.restore(again, weights.load_file(file), file)
    assert again.preprocessing == net.preprocessing
    assert (again(image).embedding.asnumpy() == net(image).embedding.asnumpy()).all()


def test_a_file_from_before_the_unbiased_variance_is_read(tmp_path):
    net = models.build('convnet', 4, 'bn', image_size=32)
    net.head.bottleneck.norm.running_var.set_data(nd.array([1, 2, 3, 4]))
    net.save(tmp_path / 'net.params')
    arrays = {name: nd.array(a, dtype=a.dtype) for name, a in read_params(tmp_path / 'net.params').items()
              if '.unbiased.' not in name}
    nd.save(str(tmp_path / 'old.params'), arrays)
    again = models.load_network(tmp_path / 'old.params')
    assert again.head.bottleneck.unbiased.running_var.data().asnumpy().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize('changed', [
    {'image_size': 100000}, {'image_size': '24'}, {'embed_dim': 10 ** 9}, {'embed_dim': 0}, {'backbone': 3},
    {'preprocessing': {'std': 0}}, {'head': None}])
def test_a_description_that_would_take_all_memory_is_refused(tmp_path, changed):
    net = models.build('convnet', embed_dim=4, image_size=24)
    net.save(str(tmp_path / 'net.params'))
    arrays = nd.load(str(tmp_path / 'net.params'))
    arrays[weights.DESCRIBE] = weights.pack({**net.describe(), **changed})
    nd.save(str(tmp_path / 'x.params'), arrays)
    with pytest.raises(UserError):
        models.load(tmp_path / 'x.params')
