"""A service on a free port of this machine, in a thread of the test."""

import contextlib
import threading
import time

import requests
import uvicorn

from serving import index as indexes
from serving.service.app import create_app
from serving.service.server import bind
from serving.service.settings import Settings
from tests.serving.stub import encoder


class Live:
    """app, url, get, post and delete of a service that runs."""

    def __init__(self, app, url):
        self.app, self.url, self.session = app, url, requests.Session()

    def get(self, path, **options):
        return self.session.get(self.url + path, timeout=20, **options)

    def post(self, path, **options):
        return self.session.post(self.url + path, timeout=20, **options)

    def delete(self, path, **options):
        return self.session.delete(self.url + path, timeout=20, **options)


@contextlib.contextmanager
def serving(name, engine=None, **settings):
    """A Live service over an index."""
    engine = engine or encoder()
    settings = Settings(**settings)
    index = indexes.open_index(name, engine, write=settings.token is not None, tell=lambda text: None)
    listening = bind('127.0.0.1', 0)
    app = create_app(index, engine, settings)
    server = uvicorn.Server(uvicorn.Config(app, log_level='error', timeout_graceful_shutdown=10, ws='none'))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield Live(app, f'http://127.0.0.1:{listening.getsockname()[1]}')
    finally:
        server.should_exit = True
        thread.join(20)


def build(name, root):
    """Make or update an index of a folder."""
    engine = encoder()
    index = indexes.open_index(name, engine, root=root, write=True, tell=lambda text: None)
    indexes.update(index, engine, root)
    index.prepare()
    index.close()
    return name
