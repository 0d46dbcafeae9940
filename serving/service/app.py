"""The HTTP interface: routes, what they take and what they answer."""

import contextlib
import hmac
import io
import pathlib
from typing import Annotated, Optional

import numpy as np
from fastapi import FastAPI, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import generate_latest
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

import core
from core.errors import UserError
from serving.duplicates import NEAR
from serving.milvus import Unavailable
from serving.service.batching import Batcher
from serving.service.bodies import Pictures
from serving.service.gate import Gate
from serving.service.library import Library, check_label
from serving.service.settings import Metrics, Settings
from serving.store import checked

PAGE = pathlib.Path(__file__).resolve().parent.parent / 'page'
LARGEST = 2 ** 53             # of an id, which JavaScript can hold
PICTURE = {'type': 'string', 'format': 'binary'}


Number = Annotated[int, Path(ge=0, le=LARGEST)]
Labels = Annotated[Optional[list[str]], Query(max_length=100)]


class Wanted(BaseModel):
    """Body of a search without a picture: an id or a vector, and optionally what else the query string may say."""

    id: Optional[int] = Field(None, ge=0, le=LARGEST)
    vector: Optional[list[float]] = Field(None, max_length=65536)


def takes(*kinds):
    """OpenAPI's words for what a route takes: a bare picture, a form with pictures ('form'), JSON ('json')."""
    content = {'image/*': {'schema': PICTURE}}
    if 'form' in kinds:
        fields = {'image': {'type': 'array', 'items': PICTURE}}
        if 'label' in kinds:
            fields['label'] = {'type': 'string'}
        content['multipart/form-data'] = {'schema': {'type': 'object', 'properties': fields}}
    if 'json' in kinds:
        content['application/json'] = {'schema': Wanted.model_json_schema(), 'examples': {
            'by id': {'value': {'id': 1}}, 'by vector': {'value': {'vector': [0.1, 0.2]}}}}
    return {'requestBody': {'required': True, 'content': content}}


def shown(image, distance=None):
    """JSON of a picture."""
    told = {'id': image.id, 'path': image.path, 'label': image.label, 'thumbnail': f'/images/{image.id}?size=320',
            'original': f'/images/{image.id}'}
    return told if distance is None else dict(told, distance=round(distance, 6))


def create_app(index, encoder, settings=None):
    """The ASGI application.

    Parameters
    ----------
    index : of serving.index.open_index; opened with write=True when settings.token is given
    encoder : serving.encoder.Encoder of the same model
    settings : settings.Settings
    """
    settings, metrics = settings or Settings(), Metrics()
    batcher = Batcher(encoder.forward, settings.max_batch, settings.max_wait, settings.queue, metrics)
    pictures, library = Pictures(encoder, batcher, settings), Library(index, metrics, settings.max_batch)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield
        await run_in_threadpool(batcher.close)
        await run_in_threadpool(library.close)

    app = FastAPI(title='gluon-dml', version=core.__version__, docs_url=None, redoc_url=None, lifespan=lifespan,
                  description='Visual search over an index of photos.')
    app.openapi_version = '3.0.3'       # which the packaged Swagger UI reads
    app.state.library, app.state.metrics, app.state.settings = library, metrics, settings
    app.add_middleware(Gate, settings=settings, metrics=metrics)
    if '*' not in settings.hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.hosts), www_redirect=False)

    @app.exception_handler(UserError)
    async def user_error(request, error):
        status = 503 if isinstance(error, Unavailable) else 507 if 'is full' in str(error) else 422
        return JSONResponse({'detail': str(error)}, status)

    def needs_token(request):
        if settings.token is None:
            raise HTTPException(403, 'this service is read-only. Fix: start it with --writable')
        kind, _, given = request.headers.get('authorization', '').partition(' ')
        if kind.lower() != 'bearer' or not hmac.compare_digest(given.strip().encode(), settings.token.encode()):
            raise HTTPException(401, 'a bearer token is needed', {'WWW-Authenticate': 'Bearer'})

    def image_of(id):
        image = index.images([id]).get(id)
        if image is None:
            raise HTTPException(404, f'there is no image {id}')
        return image

    @app.post('/embed', summary='Vectors of pictures', openapi_extra=takes('form'))
    async def embed(request: Request, format: str = Query('json', pattern='^(json|npy)$')):
        """One picture as the body, or a form with several. `format=npy` answers with a NumPy file, float32 (n, D)."""
        data, _ = await pictures.read(request)
        vectors = np.stack(await pictures.vectors(data)).astype(np.float32)
        if format == 'npy':
            out = io.BytesIO()
            np.save(out, vectors)
            return Response(out.getvalue(), media_type='application/octet-stream')
        return JSONResponse({'model': encoder.model, 'dim': encoder.dim, 'vectors': vectors.tolist()})

    @app.post('/search', summary='The nearest images', openapi_extra=takes('form', 'json'))
    async def search(request: Request, k: int = Query(20, ge=1, le=settings.max_k),
                     label: Labels = None,
                     max_distance: Optional[float] = Query(None, ge=0)):
        """Search with a picture (body or form), with `{"id": 5}` or with `{"vector": [...]}`; nearest first."""
        leave_out = None
        if request.headers.get('content-type', '').split(';')[0].strip().lower() == 'application/json':
            wanted = await wanted_of(request)
            leave_out = wanted.id
            vector = await run_in_threadpool(vector_of, wanted)
        else:
            data, _ = await pictures.read(request)
            if len(data) != 1:
                raise HTTPException(400, f'a search takes one picture, the form has {len(data)}')
            vector, = await pictures.vectors(data)
        hits = await run_in_threadpool(library.nearest, vector, k, label, max_distance, leave_out)
        return {'results': [shown(hit, hit.distance) for hit in hits]}

    async def wanted_of(request):
        try:
            wanted = Wanted.model_validate_json(await request.body())
        except ValidationError as error:
            first = error.errors()[0]
            where = '.'.join(map(str, first['loc']))
            raise HTTPException(422, f'{where}: {first["msg"]}' if where else first['msg']) from None
        if (wanted.id is None) == (wanted.vector is None):
            raise HTTPException(422, 'give either id or vector')
        return wanted

    def vector_of(wanted):
        if wanted.id is not None:
            image_of(wanted.id)
            return library.vector(wanted.id)
        vector = np.asarray(wanted.vector, np.float32)
        try:
            return checked(vector[None], 1, encoder.dim, 'the index')[0]
        except UserError:
            raise HTTPException(422, f'vector: {encoder.dim} finite numbers are needed, not {len(vector)}') from None

    @app.get('/images', summary='Images by id')
    def listed(after: int = Query(0, ge=0, le=LARGEST), limit: int = Query(60, ge=1, le=1000),
               label: Optional[str] = None, spread: bool = False):
        """Up to `limit` images with ids above `after`; with `spread` some from everywhere instead."""
        library.refresh()
        found = library.spread(limit) if spread else index.page(after, limit, label)
        return {'images': [shown(image) for image in found]}

    @app.get('/images/{id}', summary='An image, or its thumbnail', response_class=FileResponse)
    def one(id: Number, size: Optional[int] = Query(None, ge=16, le=2048)):
        """The original file, or with `size` a JPEG of at most so many pixels a side."""
        image = image_of(id)
        cached = {'Cache-Control': 'private, max-age=3600', 'ETag': f'"{image.mtime_ns:x}-{size or 0}"'}
        if size is not None:
            data = library.thumbnail(image, size)
            if data is None:
                raise HTTPException(410, f'the file of image {id} cannot be read any more')
            return Response(data, media_type='image/jpeg', headers=cached)
        found = library.original(image)
        if found is None:
            raise HTTPException(410, f'the file of image {id} is gone')
        return FileResponse(found[0], media_type=found[1], headers=cached)

    @app.post('/images', status_code=201, summary='Add images', openapi_extra=takes('form', 'label'))
    async def add(request: Request, label: str = Query('', max_length=100)):
        """Add pictures under a label; they are on the disk when this answers. Needs the token."""
        needs_token(request)
        data, fields = await pictures.read(request)
        label = fields.get('label', label)
        check_label(label)
        vectors = np.stack(await pictures.vectors(data))
        ids = await run_in_threadpool(library.add, data, vectors, label)
        return {'ids': ids}

    @app.delete('/images/{id}', status_code=204, summary='Delete an image')
    def delete(request: Request, id: Number):
        """Take an image out of the index; the file of one that was not added here stays. Needs the token."""
        needs_token(request)
        library.delete(image_of(id))
        return Response(status_code=204)

    @app.get('/labels', summary='Labels with their number of images')
    def labels():
        """By name."""
        library.refresh()
        return {'labels': [{'label': label, 'images': count} for label, count in index.labels().items()]}

    @app.get('/duplicates', summary='Groups of nearly identical images')
    def near_duplicates(max_distance: float = Query(NEAR, ge=0, le=100), label: Labels = None,
                        groups: int = Query(100, ge=1, le=1000)):
        """The closest groups first."""
        if len(index) > settings.max_duplicates:
            raise HTTPException(422, f'this compares at most {settings.max_duplicates:,} images with each other; there '
                                     f'are {len(index):,}. Fix: python3 main.py duplicates')
        found = library.duplicates(max_distance, label, groups)
        if found is None:
            raise HTTPException(503, 'another search for duplicates is running', {'Retry-After': '5'})
        return {'groups': [{'distance': round(group.widest, 6),
                            'images': [shown(hit, hit.distance) for hit in group.hits]} for group in found]}

    @app.get('/healthz', summary='Whether the service works, and over what')
    def health():
        """Counts, model and limits."""
        return {'status': 'ok', 'images': len(index), 'dim': encoder.dim, 'model': encoder.model,
                'writable': settings.token is not None, 'near': NEAR, 'max_bytes': settings.max_bytes}

    @app.get('/metrics', summary='Counters in the format of Prometheus')
    def counters():
        """Requests, times, batches."""
        return Response(generate_latest(metrics.registry), media_type='text/plain; version=0.0.4')

    @app.get('/', include_in_schema=False)
    def page():
        return FileResponse(PAGE / 'index.html', media_type='text/html', headers={'Cache-Control': 'no-cache'})

    app.mount('/page', StaticFiles(directory=PAGE), name='page')
    add_docs(app)
    return app


def add_docs(app):
    """/docs: Swagger UI from its package, so that it works without the internet."""
    try:
        from swagger_ui_bundle import swagger_ui_path
    except ImportError:
        swagger_ui_path = None

    @app.get('/docs', include_in_schema=False)
    def docs():
        if swagger_ui_path is None:
            return HTMLResponse('<p>The interface is described in <a href="/openapi.json">/openapi.json</a>; for a '
                                'page of it: pip install swagger-ui-bundle</p>')
        return get_swagger_ui_html(openapi_url='/openapi.json', title='gluon-dml: interface',
                                   swagger_js_url='/docs/files/swagger-ui-bundle.js',
                                   swagger_css_url='/docs/files/swagger-ui.css',
                                   swagger_favicon_url='/page/icon.svg')
    if swagger_ui_path is not None:
        app.mount('/docs/files', StaticFiles(directory=swagger_ui_path), name='docs')
