"""Fixtures that several test files use."""

import tempfile
import types

import pytest


@pytest.fixture(autouse=True, scope='session')
def temporary(tmp_path_factory):
    """What tests and the processes they start call temporary lies in pytest's own folder and goes with it."""
    folder = str(tmp_path_factory.mktemp('tmp'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('TMPDIR', folder)
        patch.setattr(tempfile, 'tempdir', folder)
        yield


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A folder that a web server shows: folder, server, address. Downloads try again without a pause."""
    from datasets.preparation import download
    from tests.datasets.web_server import Server
    monkeypatch.setattr(download, 'PAUSE', 0)
    folder = tmp_path / 'published'
    folder.mkdir()
    with Server(folder) as server:
        yield types.SimpleNamespace(folder=folder, server=server, address=server.address)
