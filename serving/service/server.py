"""Run the service: bind, answer, and on SIGTERM finish what was begun."""

import asyncio
import contextlib
import signal
import socket

import uvicorn

from core.errors import UserError


class Server(uvicorn.Server):
    """uvicorn with the signals handled here, so that a drained stop ends with status 0."""

    @contextlib.contextmanager
    def capture_signals(self):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self):
        self.force_exit = self.should_exit      # the second signal does not wait
        self.should_exit = True


def bind(host, port):
    """A listening socket. Raises UserError when the address cannot be had."""
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ':' in host else socket.AF_INET,
                                         backlog=256)
        # asyncio does this only for sockets that name their protocol; without it each answer waits 40 ms for the
        # client's acknowledgement of its headers
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        raise UserError(f'--host={host} --port={port} cannot be listened on: '
                        f'{getattr(error, "strerror", None) or error}. Fix: another --port') from error


def serve(app, listening, drain=30):
    """Answer on a socket until SIGTERM or SIGINT; requests under way get up to `drain` seconds to end."""
    config = uvicorn.Config(app, log_level='warning', access_log=False, timeout_keep_alive=5, lifespan='on',
                            timeout_graceful_shutdown=drain, server_header=False, ws='none')
    asyncio.run(Server(config).serve(sockets=[listening]))
