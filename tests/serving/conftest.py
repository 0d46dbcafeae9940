"""One thread for faiss: on a machine with other work its threads wait for each other."""

import pytest


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    from serving import backends
    monkeypatch.setattr(backends, 'PROCESSORS', 1)
