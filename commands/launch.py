"""`launch`: start the processes of a distributed run, show what they print, end all when one fails."""

from __future__ import annotations

import argparse
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from core.errors import UserError
from core.flags import bounded
from core.runtime import chosen_threads, usable_processors
from engine import checkpoint

ROOT = pathlib.Path(__file__).resolve().parents[1]
GRACE = 20      # seconds between asking a process to end and ending it
PAUSE = 0.2     # seconds between two looks at the processes
# before a command: the process ends when the launcher does, however that was ended (util-linux, on Linux)
TIED = ['setpriv', '--pdeathsig', 'KILL'] if shutil.which('setpriv') else []


def add_args(parser) -> None:
    """Flags of launch; what follows `--` is the command of each worker."""
    parser.add_argument('--workers', type=bounded(int, 1), default=2, help='processes that train')
    parser.add_argument('--servers', type=bounded(int, 1), default=1, help='processes that add up the gradients')
    parser.add_argument('--hosts', default='', metavar='FILE',
                        help='one host a line, reached by ssh without a password, each with the suite in the same '
                             'folder; workers and servers take turns at them. Empty: all on this machine')
    parser.add_argument('--root', default='', metavar='ADDRESS',
                        help="address of this machine as the hosts see it; empty: 127.0.0.1, with --hosts this "
                             "machine's name")
    parser.add_argument('--port', type=bounded(int, 0, 65535), default=0, help='port of the scheduler; 0: a free one')
    parser.add_argument('--logs', default='', metavar='DIR', help='also write what each process prints to DIR')
    parser.add_argument('words', nargs=argparse.REMAINDER, metavar='-- COMMAND', help='the command of each worker, '
                        'such as: -- --kvstore=dist_sync --loss=margin')


class Process:
    """One process of the run, on this machine or behind ssh."""

    def __init__(self, name, words, variables, host='', logs=''):
        self.name, self.host, self.folder = name, host, ''
        if host:
            remote = ' '.join(f'{key}={shlex.quote(value)}' for key, value in variables.items())
            inner = f'cd {shlex.quote(str(ROOT))} && env {remote} {shlex.join([".venv/bin/python", *words])}'
            command, environment = ['ssh', '-o', 'BatchMode=yes', '-tt', host, inner], None
        else:
            command, environment = [*TIED, sys.executable, *words], dict(os.environ, **variables)
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.reader = threading.Thread(target=self.read, args=(logs,), daemon=True)
        self.reader.start()

    def read(self, logs):
        """Show each line with the name of the process in front, and keep it."""
        with open(pathlib.Path(logs, self.name.replace(' ', '') + '.log') if logs else os.devnull, 'ab') as file:
            for line in self.process.stdout:
                file.write(line)
                file.flush()
                text = line.decode(errors='replace').rstrip()
                self.folder = text.partition('run folder: ')[2] or self.folder
                print(f'[{self.name}] {text}', flush=True)

    def send(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('', 0))
        return probe.getsockname()[1]


def read_hosts(file) -> list[str]:
    """Host names of a file, one a line; `#` begins a comment. Raises UserError when there is none."""
    try:
        lines = pathlib.Path(file).expanduser().read_text(encoding='utf-8').splitlines()
    except OSError as error:
        raise UserError(f'--hosts={file} cannot be read ({error.strerror}). '
                        'Fix: a text file with a line for each host') from error
    hosts = [line.split('#')[0].strip() for line in lines]
    hosts = [host for host in hosts if host]
    if not hosts:
        raise UserError(f'--hosts={file} names no host. Fix: one host name a line')
    if any(host.startswith('-') or host.split() != [host] for host in hosts):
        raise UserError(f'--hosts={file}: a line must be one host name. Fix: a line for each host, such as '
                        'node1 or user@node1')
    return hosts


def start(args, words) -> list[Process]:
    """Scheduler, servers and workers; the workers come last."""
    hosts = read_hosts(args.hosts) if args.hosts else ['']
    root = args.root or (socket.gethostname() if args.hosts else '127.0.0.1')
    share = 1 if args.hosts else args.workers
    threads = chosen_threads() or str(max(1, usable_processors() // share))
    common = {'DMLC_PS_ROOT_URI': root, 'DMLC_PS_ROOT_PORT': str(args.port or free_port()),
              'DMLC_NUM_WORKER': str(args.workers), 'DMLC_NUM_SERVER': str(args.servers), 'OMP_NUM_THREADS': threads}
    if not args.hosts:
        common['DMLC_NODE_HOST'] = '127.0.0.1'
    serve = ['-c', 'from core.runtime import load; load()']   # in these roles that import is the whole program
    found = [Process('scheduler', serve, dict(common, DMLC_ROLE='scheduler'), '', args.logs)]
    for number in range(args.servers):
        found.append(Process(f'server {number}', serve, dict(common, DMLC_ROLE='server'), hosts[number % len(hosts)],
                             args.logs))
    for number in range(args.workers):
        found.append(Process(f'worker {number}', ['main.py', *words], dict(common, DMLC_ROLE='worker'),
                             hosts[number % len(hosts)], args.logs))
    return found


def advice(args, processes) -> str:
    """How to go on after a run that failed."""
    folder = next((process.folder for process in processes if process.folder), '')
    if not folder or not args.hosts and checkpoint.find(folder) is None:
        return 'No checkpoint had been written yet.'
    given = [f'--{name}={getattr(args, name)}' for name in ('workers', 'servers', 'hosts', 'root')
             if getattr(args, name)]
    return f'What was saved is intact. Go on with:\n  python3 main.py launch {shlex.join(given)} -- --resume={folder}'


def watch(args, processes, received) -> int:
    """Wait for the workers; returns the exit status of the run. Ends the others as soon as one fails."""
    workers = [process for process in processes if process.name.startswith('worker')]
    while True:
        states = [(process, process.process.poll()) for process in processes]
        failed = [(process, status) for process, status in states if status]
        if failed:
            process, status = failed[0]
            why = f'was ended by signal {-status}' if status < 0 else f'ended with status {status}'
            if not received:
                print(f'launch: {process.name} {why}; the others are ended. {advice(args, processes)}',
                      file=sys.stderr, flush=True)
            return 128 - status if status < 0 else status
        if all(process.process.poll() == 0 for process in workers):
            return 0
        time.sleep(PAUSE)


def end(processes, patience=GRACE) -> None:
    """Ask what still runs to end, then end it."""
    for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, patience)):
        for process in processes:
            process.send(number)
        until = time.monotonic() + wait
        while any(process.process.poll() is None for process in processes) and time.monotonic() < until:
            time.sleep(PAUSE)
    for process in processes:
        process.reader.join(timeout=1)


def run(args) -> int:
    """Run `main.py WORDS` in every worker; returns the exit status."""
    words = args.words[args.words[:1] == ['--']:]
    if not words:
        raise UserError('launch needs the command of the workers behind --. Fix: python3 main.py launch '
                        '--workers=2 -- --kvstore=dist_sync --loss=margin')
    if args.logs:
        pathlib.Path(args.logs).expanduser().mkdir(parents=True, exist_ok=True)
    received, processes = [], []

    def hand_on(number, frame):
        received.append(number)
        for process in processes:
            if process.name.startswith('worker'):
                process.send(number)
    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        processes += start(args, words)
        status = watch(args, processes, received)
    finally:
        end(processes, GRACE if received else 3)
        for number, handler in before.items():
            signal.signal(number, handler)
    return status
