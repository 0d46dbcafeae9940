"""Downloads: interrupted, wrong, from the second mirror, onto a full disk."""

import dataclasses
import errno
import hashlib
import io
import os
import types

import numpy as np
import pytest
import requests

from core.errors import UserError
from datasets.benchmarks.base import Archive
from datasets.preparation import download


def content(published, size=3_000_000):
    """A file of random bytes on the server, and its Archive."""
    data = np.random.RandomState(0).bytes(size)
    (published.folder / 'big.bin').write_bytes(data)
    return data, Archive('big.bin', (published.address + '/big.bin',), ('md5:' + hashlib.md5(data).hexdigest(),), size)


def test_a_broken_download_goes_on_where_it_stopped(published, tmp_path):
    data, archive = content(published)
    published.server.moods['big.bin'] = ['cut:2000000', 'status:503', 'status:503']
    download.download(archive, tmp_path / 'big.bin')
    assert (tmp_path / 'big.bin').read_bytes() == data
    first, *later = [wanted for _, wanted in published.server.requests]
    assert first is None and len(later) == 3
    assert all(1_900_000 < int(wanted[len('bytes='):-1]) <= 2_000_000 for wanted in later)
    assert not list(tmp_path.glob('big.bin.*'))


def test_the_next_call_goes_on_after_a_kill(published, tmp_path):
    data, archive = content(published)
    (tmp_path / 'big.bin.part').write_bytes(data[:1_234_567])
    download.download(archive, tmp_path / 'big.bin')
    assert published.server.requests == [('big.bin', 'bytes=1234567-')]
    assert (tmp_path / 'big.bin').read_bytes() == data


def test_a_complete_part_is_recognised_by_416(published, tmp_path):
    data, archive = content(published)
    (tmp_path / 'big.bin.part').write_bytes(data)
    download.download(archive, tmp_path / 'big.bin')
    assert (tmp_path / 'big.bin').read_bytes() == data


def test_a_server_without_ranges_starts_over(published, tmp_path):
    data, archive = content(published)
    (tmp_path / 'big.bin.part').write_bytes(data[:1000])
    published.server.moods['big.bin'] = ['whole']
    download.download(archive, tmp_path / 'big.bin')
    assert (tmp_path / 'big.bin').read_bytes() == data


def test_a_file_that_changed_on_the_server_is_not_joined(published, tmp_path):
    """The validator of the first half (If-Range) makes the server send the new file from its start."""
    data, archive = content(published)
    (tmp_path / 'big.bin.part').write_bytes(b'x' * 1000)
    (tmp_path / 'big.bin.part.json').write_text(f'{{"url": "{archive.urls[0]}", "validator": "\\"old\\""}}')
    download.download(archive, tmp_path / 'big.bin')
    assert (tmp_path / 'big.bin').read_bytes() == data and len(published.server.requests) == 1


def test_a_wrong_beginning_is_set_aside_and_fetched_again(published, tmp_path):
    data, archive = content(published)
    (tmp_path / 'big.bin.part').write_bytes(b'x' * 1000)
    download.download(archive, tmp_path / 'big.bin')
    assert (tmp_path / 'big.bin').read_bytes() == data
    assert (tmp_path / 'big.bin.part.bad').read_bytes()[:1000] == b'x' * 1000
    assert [wanted for _, wanted in published.server.requests] == ['bytes=1000-', None]


@pytest.mark.parametrize('mood, said', [
    ('wrong', 'checksum md5:'), ('html', 'web page'), ('status:404', 'HTTP 404'), ('status:403', 'HTTP 403')])
def test_the_second_mirror_is_taken_when_the_first_fails(published, tmp_path, mood, said):
    data, archive = content(published)
    (published.folder / 'copy.bin').write_bytes(data)
    archive = dataclasses.replace(archive, urls=(published.address + '/big.bin', published.address + '/copy.bin'))
    published.server.moods['big.bin'] = [mood]
    download.download(archive, tmp_path / 'big.bin')
    assert (tmp_path / 'big.bin').read_bytes() == data
    assert [name for name, _ in published.server.requests] == ['big.bin', 'copy.bin']
    os.remove(published.folder / 'copy.bin')
    published.server.moods['big.bin'] = [mood]
    with pytest.raises(UserError, match=said):
        download.download(archive, tmp_path / 'again.bin')


def test_another_length_is_refused_before_the_first_byte(published, tmp_path):
    _, archive = content(published)
    (published.folder / 'big.bin').write_bytes(b'short')
    with pytest.raises(UserError, match='offers 5 bytes instead of 3,000,000'):
        download.download(archive, tmp_path / 'big.bin')
    assert not list(tmp_path.glob('big.bin*'))


def test_a_wrong_range_is_not_joined(published, tmp_path):
    data, archive = content(published)
    (tmp_path / 'big.bin.part').write_bytes(data[:1000])
    published.server.moods['big.bin'] = ['shifted']
    with pytest.raises(UserError, match='answered bytes from 1001'):
        download.download(archive, tmp_path / 'big.bin')


def test_no_connection_names_every_mirror(tmp_path, monkeypatch):
    monkeypatch.setattr(download, 'PAUSE', 0)
    archive = Archive('a.tgz', ('http://127.0.0.1:9/a.tgz', 'http://127.0.0.1:9/b.tgz'))
    with pytest.raises(UserError, match='(?s)a.tgz: ConnectionError.*b.tgz: ConnectionError'):
        download.download(archive, tmp_path / 'a.tgz')


def test_a_full_disk_is_named_before_and_during_the_download(published, tmp_path, monkeypatch):
    data, archive = content(published)
    real = os.statvfs(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, 'statvfs', lambda path: types.SimpleNamespace(f_bavail=10, f_frsize=real.f_frsize))
        with pytest.raises(UserError, match='needs 0.0 GB, but .* has 0.0 GB left'):
            download.download(archive, tmp_path / 'big.bin')

    class Full(io.FileIO):
        def write(self, chunk):
            if self.tell() > 1_500_000:
                raise OSError(errno.ENOSPC, 'No space left on device')
            return super().write(chunk)

    def full_open(path, mode='r', **more):
        return Full(path, mode) if mode in ('ab', 'wb') else open(path, mode, **more)
    with monkeypatch.context() as patch:
        patch.setattr(download, 'open', full_open, raising=False)
        with pytest.raises(UserError, match='no space left on its disk'):
            download.download(archive, tmp_path / 'big.bin')
    assert os.path.getsize(tmp_path / 'big.bin.part') >= 1_500_000
    download.download(archive, tmp_path / 'big.bin')
    assert (tmp_path / 'big.bin').read_bytes() == data


def test_requests_is_not_asked_for_a_compressed_stream(published, tmp_path, monkeypatch):
    """A server that gzips on the fly would break both the range and the checksum."""
    _, archive = content(published, 1000)
    seen, real = [], requests.Session.get
    monkeypatch.setattr(requests.Session, 'get',
                        lambda self, url, **more: seen.append(more['headers']) or real(self, url, **more))
    download.download(archive, tmp_path / 'big.bin')
    assert seen[0]['Accept-Encoding'] == 'identity'
