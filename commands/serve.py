"""`python3 main.py serve`: a page and an HTTP interface over an index."""

import os
import pathlib
import secrets

from commands import search_flags
from core.errors import UserError
from core.flags import bounded, switch

LOCAL = ('127.0.0.1', 'localhost', '::1')
TOKEN = 'GLUON_DML_TOKEN'


def add_args(parser):
    """Flags of serve."""
    group = parser.add_argument_group('serve')
    search_flags.add_index_args(group)
    group.add_argument('--host', default='127.0.0.1', help='address to listen on; 0.0.0.0: everywhere, then put a '
                                                           'server with TLS and a login in front')
    group.add_argument('--port', type=bounded(int, 0, 65535), default=8000, help='0: any that is free')
    group.add_argument('--allow_host', action='append', metavar='NAME',
                       help='another name by which the service is reached; may be repeated')
    switch(group, '--writable', default=False, help='allow POST /images and DELETE /images/{id} with a bearer token')
    group.add_argument('--token_file', default='', metavar='FILE',
                       help=f'file that holds the token; else the variable {TOKEN}, else one is made and printed')
    limits = parser.add_argument_group('limits')
    limits.add_argument('--max_batch', type=bounded(int, 1, 1024), default=16, metavar='N',
                        help='pictures that the network embeds together; 1: each alone')
    limits.add_argument('--max_wait', type=bounded(float, 0, 1000), default=5.0, metavar='MS',
                        help='milliseconds that a picture waits for others')
    limits.add_argument('--queue', type=bounded(int, 1, 10000), default=64, metavar='N',
                        help='requests under way; beyond, the answer is 503')
    limits.add_argument('--max_mb', type=bounded(float, 0.001, 1000), default=20.0, metavar='MB', help='of a request')
    limits.add_argument('--max_megapixels', type=bounded(float, 0.001, 160), default=50.0, metavar='N',
                        help='of a picture, by its header')
    limits.add_argument('--max_images', type=bounded(int, 1, 10000), default=32, metavar='N', help='of a request')
    limits.add_argument('--drain', type=bounded(int, 0, 3600), default=30, metavar='S',
                        help='seconds for requests under way after SIGTERM')
    search_flags.add_model_args(parser.add_argument_group('model'))


def run(args):
    """Serve until SIGTERM or Ctrl-C."""
    search_flags.need_index(args.index)
    try:
        from serving.service.app import create_app
        from serving.service.server import bind, serve
        from serving.service.settings import Settings
    except ModuleNotFoundError as error:
        raise UserError(f'the service needs the package {error.name}. Fix: bash scripts/setup.sh') from error
    token = read_token(args) if args.writable else None
    listening = bind(args.host, args.port)
    try:
        index, encoder = search_flags.open_with_encoder(args, write=args.writable)
    except BaseException:
        listening.close()
        raise
    hosts = ('localhost', '127.0.0.1', '[::1]', *(args.allow_host or ())) if args.host in LOCAL else ('*',)
    settings = Settings(max_batch=args.max_batch, max_wait=args.max_wait / 1000, queue=args.queue,
                        max_bytes=int(args.max_mb * 1e6), max_pixels=int(args.max_megapixels * 1e6),
                        max_images=args.max_images, token=token, hosts=hosts)
    name = f'[{args.host}]' if ':' in args.host else args.host
    print(f'{len(index):,} images of {index.about["root"]}')
    print(f'page: http://{name}:{listening.getsockname()[1]}   interface: /docs   stop: Ctrl-C', flush=True)
    serve(create_app(index, encoder, settings), listening, args.drain)
    return 0


def read_token(args):
    """The token of --token_file or of the environment; else a new one, which is printed."""
    if args.token_file:
        try:
            token = pathlib.Path(args.token_file).read_text(encoding='utf-8').strip()
        except OSError as error:
            raise UserError(f'--token_file={args.token_file} cannot be read: {error.strerror}. '
                            'Fix: a file with the token alone') from error
    else:
        token = os.environ.get(TOKEN, '')
        if not token:
            token = secrets.token_urlsafe(24)
            print(f'token: {token}')
    if len(token) < 16:
        raise UserError('the token has less than 16 characters. Fix: a longer one, such as of: openssl rand -hex 24')
    return token
