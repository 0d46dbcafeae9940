"""A web server with a temper, on loopback."""

import contextlib
import hashlib
import http.server
import re
import threading
from collections import defaultdict


class Server:
    """HTTP on loopback for the files of a folder: `with Server(folder) as server: server.address`.

    moods : file name -> list of what to do at the next requests for it: 'cut:N' sends N bytes and hangs up, 'status:N'
        answers with that status, 'wrong' sends other bytes of the same length, 'html' a web page, 'whole' ignores the
        range that was asked for, 'shifted' answers another range. An empty list: serve it properly.
    requests : [(file name, value of the Range header or None)]
    """

    def __init__(self, folder):
        self.folder, self.moods, self.requests, outer = folder, defaultdict(list), [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass
        self.http = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.address = f'http://127.0.0.1:{self.http.server_address[1]}'

    def __enter__(self):
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.http.shutdown()
        self.http.server_close()

    def answer(self, request):
        name = request.path.rsplit('/', 1)[1]
        wanted = request.headers.get('Range')
        self.requests.append((name, wanted))
        mood = self.moods[name].pop(0) if self.moods[name] else ''
        path = self.folder / name
        if mood.startswith('status:') or not path.is_file():
            request.send_error(int(mood[7:]) if mood else 404)
            return
        data = path.read_bytes()
        if mood == 'wrong':
            data = bytes(255 - byte for byte in data)
        start = 0
        match = re.match(r'bytes=(\d+)-', wanted or '')
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        if match and mood != 'whole' and request.headers.get('If-Range', tag) == tag:
            start = int(match.group(1))
        if start >= len(data):
            request.send_response(416)
            request.send_header('Content-Range', f'bytes */{len(data)}')
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        if start:
            shown = start + 1 if mood == 'shifted' else start
            request.send_header('Content-Range', f'bytes {shown}-{len(data) - 1}/{len(data)}')
        request.send_header('Content-Type', 'text/html' if mood == 'html' else 'application/octet-stream')
        request.send_header('Content-Length', str(len(data) - start))
        request.send_header('ETag', tag)
        request.end_headers()
        data = data[start:]
        request.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):    # the client may refuse the rest
            request.wfile.write(data[:int(mood[4:])] if mood.startswith('cut:') else data)
