"""Pictures out of a request: a bare picture, or a form with several."""

import asyncio
import os

from starlette.exceptions import HTTPException

from serving import photos
from serving.service.batching import Full

BUSY = {'Retry-After': '1'}


class Pictures:
    """Reads, checks and embeds the pictures of requests.

    Decoding happens in few threads at a time and what waits for the network is the small square that it sees, so memory
    is bounded by the limits, not by what arrives.

    Parameters
    ----------
    encoder : serving.encoder.Encoder
    batcher : batching.Batcher
    settings : settings.Settings
    """

    def __init__(self, encoder, batcher, settings):
        self.encoder, self.batcher, self.settings = encoder, batcher, settings
        self._decoding = asyncio.Semaphore(len(os.sched_getaffinity(0)))

    async def read(self, request):
        """list of bytes: the pictures of a request, and the other fields of its form as a dict."""
        kind = request.headers.get('content-type', '').split(';')[0].strip().lower()
        try:
            if kind == 'multipart/form-data':
                return await asyncio.wait_for(self._form(request), self.settings.body_timeout)
            body = await asyncio.wait_for(request.body(), self.settings.body_timeout)
        except (asyncio.TimeoutError, TimeoutError):
            seconds = self.settings.body_timeout
            raise HTTPException(408, f'the request did not arrive within {seconds:g} seconds') from None
        if not body:
            raise HTTPException(400, 'the request has no picture: send one as the body, or a form with files')
        return [body], {}

    async def _form(self, request):
        form = await request.form(max_files=self.settings.max_images, max_fields=8, max_part_size=10_000)
        try:
            files, fields = [], {}
            for name, value in form.multi_items():
                if isinstance(value, str):
                    fields[name] = value
                else:
                    files.append(await value.read())
        finally:
            await form.close()
        if not files:
            raise HTTPException(400, 'the form has no file')
        return files, fields

    async def vectors(self, pictures, names=None):
        """float32 (n, D) of encoded pictures. HTTPException 4xx for one that cannot be used, 503 when too many wait."""
        views = await asyncio.gather(*[self._view(data, k if len(pictures) > 1 else None)
                                       for k, data in enumerate(pictures)])
        try:
            futures = self.batcher.submit(views)
        except Full:
            raise HTTPException(503, 'too many pictures wait for the network', BUSY) from None
        return await asyncio.gather(*[asyncio.wrap_future(future) for future in futures])

    async def _view(self, data, number):
        async with self._decoding:
            try:
                return await asyncio.get_running_loop().run_in_executor(None, self._decode, data)
            except photos.Unreadable as error:
                which = 'the picture' if number is None else f'picture {number + 1} of the request'
                status = 413 if 'pixels' in str(error) else 415 if 'it is no ' in str(error) else 422
                raise HTTPException(status, f'{which} cannot be used: {error}') from None

    def _decode(self, data):
        return self.encoder.view(photos.pixels(data, self.settings.max_pixels))
