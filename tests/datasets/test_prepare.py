"""`prepare`: from archives to a data set, whatever goes wrong on the way, and going on afterwards."""

import contextlib
import dataclasses
import errno
import os
import pathlib
import tarfile

import pytest

from core.errors import UserError
from datasets import benchmarks, store
from datasets.benchmarks import index
from datasets.preparation import archives, check, prepare
from tests.datasets import fake_data


def load(root, name, benchmark=None):
    return benchmarks.load(root, name=name, benchmark=benchmark)


def prepare_quietly(root, benchmark, name='cub200', log=lambda text: None, **options):
    return prepare.prepare(name, root, benchmark=benchmark, log=log, **options)


def fake_of(published, name):
    return fake_data.facts(name, published.folder, published.address, fake_data.BUILDERS[name](published.folder))


def test_prepare_downloads_verifies_unpacks_and_indexes(published, tmp_path):
    fake, root, said = fake_of(published, 'cub200'), tmp_path / 'data', []
    assert prepare_quietly(root, fake, log=said.append).protocol == 'zero-shot'
    data = load(root, 'cub200', fake)
    assert (len(data.train), data.train.num_classes, len(data.test), data.protocol) == (8, 2, 8, 'zero-shot')
    assert data.notes == () and data.train.read(0).shape == (40, 52, 3)
    assert any('train' in line and '8 images' in line for line in said)
    before = len(published.server.requests)
    prepare_quietly(root, fake, log=said.append)
    assert len(published.server.requests) == before == 1
    assert (root / 'archives' / 'CUB_200_2011.tgz').exists() and (root / 'CUB_200_2011').is_dir()


def test_prepare_can_drop_its_archives(published, tmp_path):
    prepare_quietly(tmp_path / 'data', fake_of(published, 'cub200'), keep_archives=False)
    assert not list((tmp_path / 'data' / 'archives').iterdir())


def test_a_given_archive_is_used_where_it_lies(published, tmp_path):
    fake = fake_of(published, 'cub200')
    for name in ('CUB_200_2011.tgz', 'CUB_200_2011 (1).tgz', 'renamed.tgz'):
        (published.folder / 'CUB_200_2011.tgz').rename(tmp_path / name)
        prepare_quietly(tmp_path / name[:-4], fake, archive=[tmp_path / name])
        assert len(load(tmp_path / name[:-4], 'cub200', fake).train) == 8
        (tmp_path / name).rename(published.folder / 'CUB_200_2011.tgz')
    assert published.server.requests == []
    (tmp_path / 'other.tgz').write_bytes(b'something else')
    with pytest.raises(UserError, match='is none of the files of CUB-200-2011.*CUB_200_2011.tgz'):
        prepare_quietly(tmp_path / 'data', fake, archive=[tmp_path / 'other.tgz'])
    with pytest.raises(UserError, match='is not a file'):
        prepare_quietly(tmp_path / 'data', fake, archive=['/no/such.tgz'])


def test_a_wrong_archive_is_named_and_kept_aside(published, tmp_path):
    fake, root = fake_of(published, 'cub200'), tmp_path / 'data'
    good = (published.folder / 'CUB_200_2011.tgz').read_bytes()
    (root / 'archives').mkdir(parents=True)
    (root / 'archives' / 'CUB_200_2011.tgz').write_bytes(good[:len(good) // 2])
    with pytest.raises(UserError, match='is not the right file: checksum md5:.*kept aside as .*CUB_200_2011.tgz.bad'):
        prepare_quietly(root, fake)
    assert sorted(os.listdir(root / 'archives')) == ['CUB_200_2011.tgz.bad']
    assert not (root / 'CUB_200_2011').exists() and published.server.requests == []
    prepare_quietly(root, fake)
    assert len(load(root, 'cub200', fake).test) == 8
    users = tmp_path / 'CUB_200_2011.tgz'
    users.write_bytes(b'wrong')
    with pytest.raises(UserError, match='left where it is'):
        prepare_quietly(root, fake, archive=[users])
    assert users.read_bytes() == b'wrong'


@pytest.mark.parametrize('step', ['unpack', 'merge', 'mark', 'index'])
def test_an_interruption_at_any_step_is_made_good_by_the_next_call(published, tmp_path, monkeypatch, step):
    fake, root = fake_of(published, 'lfw'), tmp_path / 'data'
    real_replace, calls = os.replace, []

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    def stop_later(source, target):
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real_replace(source, target)
    with monkeypatch.context() as patch:
        if step == 'unpack':
            patch.setattr('datasets.preparation.unpack.Writer.copy', stop)
        elif step == 'merge':
            patch.setattr(os, 'replace', stop_later)
        elif step == 'mark':
            patch.setattr(archives, 'mark', stop)
        else:
            patch.setattr(index, 'save', stop)
        with contextlib.suppress(KeyboardInterrupt):
            prepare_quietly(root, fake, fake.name)
            raise AssertionError('not interrupted')
    with pytest.raises(UserError, match='Fix: python3 main.py prepare --data_name=lfw'):
        load(root, 'lfw', fake)
    assert not (root / '.prepared' / 'unpacking').exists()
    prepare_quietly(root, fake, fake.name)
    assert len(load(root, 'lfw', fake).test) == 8
    names = [name for name, _ in published.server.requests]
    assert sorted(set(names)) == sorted(names), 'an archive was downloaded twice'


def test_removed_images_are_unpacked_again(published, tmp_path):
    fake, root = fake_of(published, 'cub200'), tmp_path / 'data'
    prepare_quietly(root, fake)
    victim = next((root / 'CUB_200_2011' / 'images').rglob('*.jpg'))
    victim.unlink()
    prepare_quietly(root, fake)
    assert victim.exists() and len(published.server.requests) == 1


def test_an_unpacked_tree_needs_no_archive(published, tmp_path):
    fake, root = fake_of(published, 'cub200'), tmp_path / 'data'
    with tarfile.open(published.folder / 'CUB_200_2011.tgz') as archive:
        archive.extractall(root)
    prepare_quietly(root / 'CUB_200_2011', fake)
    assert published.server.requests == []
    assert load(root / 'CUB_200_2011', 'cub200', fake).train.read(3).shape == (40, 52, 3)


def test_wrong_counts_are_an_error_that_names_them(published, tmp_path):
    fake, root = fake_of(published, 'cub200'), tmp_path / 'data'
    fact = fake.counts[0]._replace(value=5864, source='the paper')
    real = dataclasses.replace(fake, counts=(fact,))
    with pytest.raises(UserError, match=r'train has 8 images where the data set has 5,864 \(read: the paper\)'):
        prepare_quietly(root, real)
    said = []
    recalled = dataclasses.replace(fake, counts=(fact._replace(confidence='recalled'),))
    prepare_quietly(root, recalled, log=said.append)
    assert any(line.startswith('warning: train has 8 images') for line in said)
    note, = load(root, 'cub200', recalled).notes
    assert 'not comparable: train has 8 images where the data set has 5,864' in note


def test_sets_behind_a_form_say_which_files_go_where(published, tmp_path):
    fake, root = fake_of(published, 'inshop'), tmp_path / 'data'
    with pytest.raises(UserError) as caught:
        prepare_quietly(root, fake, fake.name)
    for words in ('img.zip, list_eval_partition.txt, list_bbox_inshop.txt are missing', 'mmlab.ie.cuhk.edu.hk',
                  str(root / 'archives'), 'not img_highres'):
        assert words in str(caught.value)
    for name in ('img.zip', 'list_eval_partition.txt'):
        (published.folder / name).rename(root / 'archives' / name)
    with pytest.raises(UserError, match='list_bbox_inshop.txt is missing'):
        prepare_quietly(root, fake, fake.name)
    prepare_quietly(root, fake, 'inshop', archive=[published.folder / 'list_bbox_inshop.txt'])
    assert load(root, 'inshop', fake).test.query.sum() == 3
    assert published.server.requests == []


def test_read_only_folders_are_read_and_never_written(published, tmp_path):
    fake, root = fake_of(published, 'cub200'), tmp_path / 'data'
    with tarfile.open(published.folder / 'CUB_200_2011.tgz') as archive:
        archive.extractall(root)
    root.chmod(0o555)
    try:
        prepare_quietly(root, fake)
        assert len(load(root, 'cub200', fake).train) == 8
        with pytest.raises(UserError, match='--store_dir'):
            store.attach(prepare_quietly(root, fake), 'margin', 224)
        (root / 'CUB_200_2011' / 'images.txt').unlink()
        with pytest.raises(UserError, match='images.txt is not in .*nothing may be written there'):
            prepare_quietly(root, fake)
        assert sorted(os.listdir(root)) == ['CUB_200_2011', 'attributes.txt']
    finally:
        root.chmod(0o755)


def test_a_file_system_that_refuses_is_explained(published, tmp_path, monkeypatch):
    fake = fake_of(published, 'cub200')

    def refuse(code):
        def mkdir(*args, **kwargs):
            raise OSError(code, os.strerror(code))
        return mkdir
    for code, words in ((errno.EROFS, 'file system is read-only'), (errno.EACCES, 'you may not write there')):
        with monkeypatch.context() as patch:
            patch.setattr('pathlib.Path.mkdir', refuse(code))
            with pytest.raises(UserError, match=words):
                prepare_quietly(tmp_path / 'data', fake)
    with monkeypatch.context() as patch:
        patch.setattr('datasets.preparation.unpack.Writer.copy', refuse(errno.ENOSPC))
        with pytest.raises(UserError, match='no space left on its disk'):
            prepare_quietly(tmp_path / 'data', fake)
    assert not (tmp_path / 'data' / '.prepared' / 'unpacking').exists()
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='a file stands where a folder should be'):
        prepare_quietly(tmp_path / 'file' / 'data', fake)


def test_two_prepares_do_not_meet(published, tmp_path):
    with prepare.lock(tmp_path / 'data'), pytest.raises(UserError, match='another prepare is at work'):
        prepare_quietly(tmp_path / 'data', fake_of(published, 'cub200'))


def test_an_unknown_name_lists_the_legal_ones(tmp_path):
    with pytest.raises(UserError, match='Did you mean cub200'):
        prepare.prepare('cub20', tmp_path)


def test_nothing_there_says_how_to_prepare(tmp_path):
    with pytest.raises(UserError, match='Fix: python3 main.py prepare --data_name=cub200 --data_dir='):
        load(tmp_path / 'none', 'cub200')
    with pytest.raises(UserError, match='images.txt.*is not in.*Fix: python3 main.py prepare'):
        load(tmp_path, 'cub200')


def test_check_finds_bad_images_and_duplicates_across_the_border(published, tmp_path):
    fake, root = fake_of(published, 'cub200'), tmp_path / 'data'
    prepare_quietly(root, fake)
    data, said = load(root, 'cub200', fake), []
    prepare_quietly(root, fake, log=said.append, verify=True)
    assert 'decoded 16 images, 0 cannot be read' in said
    first = pathlib.Path(data.train.path(0)).read_bytes()
    pathlib.Path(data.test.path(5)).write_bytes(first)
    pathlib.Path(data.test.path(6)).write_bytes(first[:2] + b'\xff\xfe\x00\x04hi' + first[2:])    # a JPEG comment more
    found = check.run(data, root, log=said.append)
    assert len(found['across']) == 1 and len(found['across'][0]['images']) == 3
    assert not found['across'][0]['same_bytes'] and len(found['conflicting']) == 1 and not found['within']
    pathlib.Path(data.test.path(7)).write_bytes(first[:300])
    with pytest.raises(UserError, match='1 image cannot be read: .*' + os.path.basename(data.test.path(7))):
        prepare_quietly(root, fake, log=said.append, verify=True)
