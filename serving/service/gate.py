"""What every request passes first: how many may be under way, how large they may be, and how answers are marked."""

import asyncio
import contextlib
import json
import time

from starlette.exceptions import HTTPException

HEADERS = [(b'x-content-type-options', b'nosniff'), (b'x-frame-options', b'DENY'), (b'referrer-policy', b'no-referrer'),
           (b'cross-origin-resource-policy', b'same-origin')]
PAGE_POLICY = (b'content-security-policy', b"default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
                                           b"base-uri 'none'; frame-ancestors 'none'")
FREE = ('/healthz', '/metrics')         # answered however busy the service is


class Gate:
    """ASGI middleware.

    Parameters
    ----------
    app : ASGI application
    settings : settings.Settings
    metrics : settings.Metrics
    """

    def __init__(self, app, settings, metrics):
        self.app, self.settings, self.metrics = app, settings, metrics
        self.requests = self.bytes = 0

    async def __call__(self, scope, receive, send):
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def marked(message):
            nonlocal status
            if message['type'] == 'http.response.start':
                status = message['status']
                policy = [] if scope['path'].startswith('/docs') else [PAGE_POLICY]
                message = dict(message, headers=[*message.get('headers', ()), *HEADERS, *policy])
            await send(message)

        free = scope['path'] in FREE
        refusal = None if free else self._refusal(scope)
        if refusal:
            await discard(receive, self.settings)
            await answer(marked, *refusal)
            self._count(scope, status, start)
            return
        self.requests += not free
        self.metrics.under_way.set(self.requests)
        arrived = 0

        async def bounded():
            nonlocal arrived
            message = await receive()
            if message['type'] == 'http.request':
                size = len(message.get('body', b''))
                arrived += size
                self.bytes += size
                if arrived > self.settings.max_bytes:
                    if message.get('more_body'):
                        await discard(receive, self.settings)
                    raise HTTPException(413, too_large(self.settings))
                if self.bytes > self.settings.max_bytes_under_way:
                    raise HTTPException(503, 'too many large requests at once', {'Retry-After': '1'})
            return message

        try:
            await self.app(scope, bounded, marked)
        finally:
            self.requests -= not free
            self.bytes -= arrived
            self.metrics.under_way.set(self.requests)
            self._count(scope, status, start)

    def _refusal(self, scope):
        """(status, reason, headers) of a request that is refused unread, or None."""
        if self.requests >= self.settings.queue:
            return 503, f'{self.requests} requests are under way, which is the limit', [(b'retry-after', b'1')]
        length = dict(scope['headers']).get(b'content-length', b'0')
        if not length.isdigit():
            return 400, 'Content-Length is no number', []
        if int(length) > self.settings.max_bytes:
            return 413, too_large(self.settings), [(b'connection', b'close')]
        return None

    def _count(self, scope, status, start):
        route = getattr(scope.get('route'), 'path', 'other')
        self.metrics.requests.labels(route, str(status)).inc()
        self.metrics.seconds.labels(route).observe(time.perf_counter() - start)


async def discard(receive, settings):
    """Let the rest of a body pass, within bounds: who still sends would otherwise see a cut line and not the answer."""
    left = 4 * settings.max_bytes

    async def pass_by():
        nonlocal left
        while left > 0:
            message = await receive()
            left -= len(message.get('body', b''))
            if message['type'] != 'http.request' or not message.get('more_body'):
                return

    with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
        await asyncio.wait_for(pass_by(), settings.body_timeout)


def too_large(settings):
    """The sentence for a request with too many bytes."""
    return f'the request is larger than the {settings.max_bytes:,} bytes that are allowed'


async def answer(send, status, reason, headers):
    """Send a small JSON answer."""
    body = json.dumps({'detail': reason}).encode()
    await send({'type': 'http.response.start', 'status': status, 'headers': [
        (b'content-type', b'application/json'), (b'content-length', str(len(body)).encode()), *headers]})
    await send({'type': 'http.response.body', 'body': body})
