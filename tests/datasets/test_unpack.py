"""Unpacking: unsafe, damaged, too large; nothing of such an archive may be left behind."""

import gzip
import io
import os
import stat
import tarfile
import zipfile

import numpy as np
import pytest

from datasets.preparation.unpack import BadArchive, unpack
from tests.datasets import fake_data


def evil_tar(path, **attributes):
    with tarfile.open(path, 'w:gz') as archive:
        member = tarfile.TarInfo('good.txt')
        member.size = 2
        archive.addfile(member, io.BytesIO(b'ok'))
        member = tarfile.TarInfo('bad')
        for key, value in attributes.items():
            setattr(member, key, value)
        archive.addfile(member, io.BytesIO(b''))


@pytest.mark.parametrize('attributes', [
    {'type': tarfile.SYMTYPE, 'linkname': '/etc/passwd'}, {'type': tarfile.LNKTYPE, 'linkname': 'good.txt'},
    {'type': tarfile.CHRTYPE}, {'type': tarfile.FIFOTYPE}, {'name': '../outside'}, {'name': '/outside'},
    {'name': 'a/../../outside'}, {'name': '..\\outside'}])
def test_an_unsafe_tar_leaves_nothing(tmp_path, attributes):
    evil_tar(tmp_path / 'evil.tgz', **attributes)
    with pytest.raises(BadArchive, match='is unsafe'):
        unpack(tmp_path / 'evil.tgz', tmp_path / 'out', tmp_path / 'scratch', 10 ** 6)
    assert sorted(os.listdir(tmp_path)) == ['evil.tgz']


def test_an_unsafe_zip_leaves_nothing(tmp_path):
    link = zipfile.ZipInfo('link')
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    for name in ('../outside', '/outside', 'c:/outside', link):
        with zipfile.ZipFile(tmp_path / 'evil.zip', 'w') as archive:
            archive.writestr('good.txt', 'ok')
            archive.writestr(name, '/etc/passwd')
        with pytest.raises(BadArchive, match='is unsafe'):
            unpack(tmp_path / 'evil.zip', tmp_path / 'out', tmp_path / 'scratch', 10 ** 6)
        assert sorted(os.listdir(tmp_path)) == ['evil.zip']


@pytest.mark.parametrize('kind', ['tgz', 'zip'])
def test_an_archive_bomb_is_stopped_by_the_bytes_it_writes(tmp_path, kind):
    make = fake_data.tar if kind == 'tgz' else fake_data.zipped
    make(tmp_path / 'bomb', {'zeros': bytes(5_000_000)})
    assert os.path.getsize(tmp_path / 'bomb') < 10_000
    with pytest.raises(BadArchive, match='more than 1,000,000 bytes'):
        unpack(tmp_path / 'bomb', tmp_path / 'out', tmp_path / 'scratch', 1_000_000)
    assert sorted(os.listdir(tmp_path)) == ['bomb']


@pytest.mark.parametrize('make, name', [(fake_data.tar, 'a.tgz'), (fake_data.zipped, 'a.zip')])
@pytest.mark.parametrize('share', [0, 0.01, 0.5, 0.98])
def test_half_an_archive_is_never_used(tmp_path, make, name, share):
    make(tmp_path / name, {f'f{k}': np.random.RandomState(k).bytes(5000) for k in range(5)})
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:int(len(data) * share)])
    with pytest.raises(BadArchive, match='damaged or cut off'):
        unpack(tmp_path / name, tmp_path / 'out', tmp_path / 'scratch', 10 ** 6)
    assert sorted(os.listdir(tmp_path)) == [name]


def test_a_flipped_byte_in_a_zip_and_a_password_are_found(tmp_path):
    fake_data.zipped(tmp_path / 'a.zip', {'f': np.random.RandomState(0).bytes(5000)})
    data = bytearray((tmp_path / 'a.zip').read_bytes())
    data[2000] ^= 1
    (tmp_path / 'a.zip').write_bytes(data)
    with pytest.raises(BadArchive, match='damaged'):
        unpack(tmp_path / 'a.zip', tmp_path / 'out', tmp_path / 'scratch', 10 ** 6)
    fake_data.zipped(tmp_path / 'b.zip', {'f': b'secret'})
    data = bytearray((tmp_path / 'b.zip').read_bytes())
    data[6] |= 1
    data[data.index(b'PK\x01\x02') + 8] |= 1
    (tmp_path / 'b.zip').write_bytes(data)
    with pytest.raises(BadArchive, match='password'):
        unpack(tmp_path / 'b.zip', tmp_path / 'out', tmp_path / 'scratch', 10 ** 6)


def test_unpacking_merges_with_what_is_there_and_keeps_unicode(tmp_path):
    (tmp_path / 'out' / 'lists').mkdir(parents=True)
    (tmp_path / 'out' / 'lists' / 'kept.txt').write_text('kept')
    fake_data.tar(tmp_path / 'a.tgz', {'lists': None, 'lists/größe_鳥.txt': b'new', 'top.txt': b'top'})
    unpack(tmp_path / 'a.tgz', tmp_path / 'out', tmp_path / 'scratch', 10 ** 6)
    assert sorted(os.listdir(tmp_path / 'out' / 'lists')) == ['größe_鳥.txt', 'kept.txt']
    assert not (tmp_path / 'scratch').exists()


def refused(path, root):
    with pytest.raises(BadArchive, match='damaged'):
        unpack(path, root / 'out', root / 'scratch', 10 ** 6)
    assert not (root / 'out').exists() and not (root / 'scratch').exists()


def three_files(path, mode):
    fake_data.tar(path, {f'f{k}': np.random.RandomState(k).bytes(3000) for k in range(3)}, mode)
    return path.read_bytes()


@pytest.mark.parametrize('how', ['zeroed header', 'garbage header', 'cut at a member', 'behind its end'])
@pytest.mark.parametrize('packed', [False, True])
def test_a_tar_that_ends_early_is_not_taken_for_whole(tmp_path, how, packed):
    data = three_files(tmp_path / 'a.tar', 'w')
    second = 512 + 3072     # where the second member begins
    data = {'zeroed header': data[:second] + bytes(512) + data[second + 512:],
            'garbage header': data[:second] + b'\x55' * 512 + data[second + 512:],
            'cut at a member': data[:second], 'behind its end': data + b'x' * 512}[how]
    (tmp_path / 'a.tar').write_bytes(gzip.compress(data) if packed else data)
    refused(tmp_path / 'a.tar', tmp_path)


@pytest.mark.parametrize('mode', ['w:gz', 'w:bz2', 'w:xz', 'w'])
def test_every_compression_is_unpacked_and_its_damage_found(tmp_path, mode):
    data = three_files(tmp_path / 'a.tar', mode)
    unpack(tmp_path / 'a.tar', tmp_path / 'good', tmp_path / 'scratch', 10 ** 6)
    assert sorted(os.listdir(tmp_path / 'good')) == ['f0', 'f1', 'f2']
    (tmp_path / 'a.tar').write_bytes(data[:-1] if mode != 'w' else data[:9000])
    refused(tmp_path / 'a.tar', tmp_path)
    if mode != 'w':     # a plain tar has no checksum of what it holds
        damaged = bytearray(data)
        damaged[len(data) // 2] ^= 1
        (tmp_path / 'a.tar').write_bytes(damaged)
        refused(tmp_path / 'a.tar', tmp_path)


def test_a_name_that_no_disk_takes_and_a_file_that_is_a_folder(tmp_path):
    for files in ({'a' * 300: b'x'}, {'a': b'x', 'a/b': b'x'}):
        fake_data.tar(tmp_path / 'a.tar', files, 'w')
        refused(tmp_path / 'a.tar', tmp_path)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('kind', ['w', 'w:gz', 'w:bz2', 'w:xz', 'zip'])
def test_mutated_archives_are_unpacked_or_refused(tmp_path, kind, seed):
    rng = np.random.RandomState(seed)
    files = {f'd{k}/f{k}': rng.bytes(300) for k in range(4)}
    path = tmp_path / 'a'
    fake_data.zipped(path, files) if kind == 'zip' else fake_data.tar(path, files, kind)
    good = path.read_bytes()
    for _ in range(20):
        damaged = bytearray(good)
        for at in rng.randint(len(good), size=rng.randint(1, 6)):
            damaged[at] = rng.randint(256)
        path.write_bytes(damaged)
        try:
            unpack(path, tmp_path / 'out', tmp_path / 'scratch', 10 ** 6)
        except BadArchive as error:
            assert str(path) in str(error) and '\n' not in str(error)
        assert not (tmp_path / 'scratch').exists()
