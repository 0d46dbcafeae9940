"""Fixtures that several test files use."""

import types

import pytest


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
