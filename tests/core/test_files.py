"""Whole files or none; logs with a cut-off line."""

import errno
import os
import resource

import pytest

from core import files


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = files.write_atomic(tmp_path / 'deep' / 'a.txt', 'old')
    with pytest.raises(RuntimeError), files.open_atomic(path) as file:
        file.write('half')
        raise RuntimeError('power cut')
    assert path.read_text() == 'old' and os.listdir(path.parent) == ['a.txt']


def test_the_error_names_the_file_that_was_asked_for(tmp_path):
    def full(file):
        raise OSError(errno.ENOSPC, 'No space left on device')
    with pytest.raises(OSError) as error:
        files.write_atomic(tmp_path / 'a.npz', full)
    assert error.value.filename == str(tmp_path / 'a.npz') and not os.listdir(tmp_path)
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='file'):
        files.write_atomic(tmp_path / 'file' / 'x', 'text')


def test_text_bytes_and_any_writer(tmp_path):
    assert files.write_atomic(tmp_path / 'a', 'é\n').read_bytes() == b'\xc3\xa9\n'
    assert files.write_atomic(tmp_path / 'a', b'\x00').read_bytes() == b'\x00'
    assert files.write_atomic(tmp_path / 'a', lambda file: file.write(b'123')).read_bytes() == b'123'
    (tmp_path / 'link').symlink_to(tmp_path / 'a')
    files.write_atomic(tmp_path / 'link', 'through')
    assert (tmp_path / 'link').is_symlink() and (tmp_path / 'a').read_text() == 'through'


def test_a_log_with_damaged_lines(tmp_path):
    log = tmp_path / 'log.jsonl'
    assert files.read_log(log) == []
    files.append_log(log, {'step': 1})
    with open(log, 'ab') as file:
        file.write(b'{"step": 2, "va')
    files.append_log(log, {'step': 3})
    with open(log, 'ab') as file:
        file.write(b'\xff\x00[1]\n7\n')
    assert files.read_log(log) == [{'step': 1}, {'step': 3}]


def test_a_line_that_fits_only_in_part_is_no_line(tmp_path):
    """A disk that is nearly full takes the beginning of a line without an error."""
    log = tmp_path / 'log.jsonl'
    files.append_log(log, {'step': 1})
    before, limits = log.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))
    try:
        with pytest.raises(OSError, match='log.jsonl'):
            files.append_log(log, {'step': 2, 'loss': 0.5})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert log.read_bytes() == before
    files.append_log(log, {'step': 3})
    assert [line['step'] for line in files.read_log(log)] == [1, 3]
