"""TensorBoard's event files, written so that a full disk costs neither the training nor the points."""

import os
import pathlib
import socket
import struct
import time

import tensorboardX
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c
from tensorboardX.summary import hparams
from tensorboardX.writer import FileWriter

from core.files import write_atomic

KEPT = 64 << 20    # bytes that wait for space before the oldest are given up


def record(data):
    """`data` (bytes) as TFRecord: length, its checksum, data, its checksum."""
    header = struct.pack('<Q', len(data))
    return b''.join((header, struct.pack('<I', masked_crc32c(header)), data, struct.pack('<I', masked_crc32c(data))))


def records(content):
    """The records of the bytes of an event file; one that was cut off, or is damaged, ends them."""
    place = 0
    while place + 12 <= len(content):
        length, check = struct.unpack_from('<QI', content, place)
        stop = place + 12 + length
        if check != masked_crc32c(content[place:place + 8]) or stop + 4 > len(content):
            return
        yield content[place + 12:stop]
        place = stop + 4


class PatientWriter:
    """Takes events as tensorboardX.EventFileWriter does. It writes in the caller's thread, every `pause` seconds;
    what cannot be written (a full disk) waits in memory for the next time.

    Parameters
    ----------
    folder : path, made with the first event
    pause : seconds
    """

    def __init__(self, folder, pause=10.0):
        self.folder, self.pause = pathlib.Path(folder), pause
        name = f'events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}'
        self.file, self.good, self.warned = self.folder / name, 0, False
        head = record(Event(wall_time=time.time(), file_version='brain.Event:2').SerializeToString())
        self.waiting, self.size, self.due = [head], len(head), 0.0    # no file before there is a point

    def get_logdir(self):
        """The folder."""
        return str(self.folder)

    def add_event(self, event):
        """Take one event."""
        self.waiting.append(record(event.SerializeToString()))
        self.size += len(self.waiting[-1])
        while self.size > KEPT:
            self.size -= len(self.waiting.pop(0))
        if time.monotonic() >= self.due:
            self.flush()

    def flush(self):
        """Write what waits; never raises for the disk's sake."""
        self.due = time.monotonic() + self.pause
        if len(self.waiting) < (1 if self.good else 2):
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.file, 'r+b' if self.good else 'wb') as file:
                file.truncate(self.good)    # half a record would hide all that follow
                file.seek(self.good)
                file.write(b''.join(self.waiting))
        except OSError as error:
            if not self.warned:
                print(f'note: TensorBoard cannot be written ({error.strerror}); its points wait in memory', flush=True)
            self.warned = True
            return
        self.good += self.size
        self.waiting, self.size, self.warned = [], 0, False

    def close(self):
        """Write what waits."""
        self.flush()

    def reopen(self):
        """Nothing is closed, so nothing has to be opened."""


class PatientFileWriter(FileWriter):
    """tensorboardX.FileWriter over a PatientWriter."""

    def __init__(self, folder):
        self.event_writer, self._default_metadata = PatientWriter(folder), {}


class Board(tensorboardX.SummaryWriter):
    """A SummaryWriter in `folder` that no full disk stops; everything it can add, this can."""

    def _get_file_writer(self):
        if self.file_writer is None:
            self.file_writer = PatientFileWriter(self.logdir)
            self.all_writers = {self.logdir: self.file_writer}
        return self.file_writer

    @property
    def file(self):
        """Path of the event file."""
        return self._get_file_writer().event_writer.file

    def flush(self):
        """Write what waits."""
        self._get_file_writer().flush()

    def add_setting(self, settings, scores):
        """The row of this run in the tab HPARAMS.

        Parameters
        ----------
        settings : {flag: value}; what is neither number, bool nor text is written as text
        scores : {tag of a scalar: its final value}
        """
        plain = {key: value if isinstance(value, (bool, int, float, str)) else str(value)
                 for key, value in settings.items()}
        for summary in hparams(plain, scores):
            self._get_file_writer().add_summary(summary)
        for tag, value in scores.items():
            self.add_scalar(tag, value)


def rewind(folder, moment, keep=None):
    """Drop the events that were added after `moment` (seconds since 1970): training goes on from a checkpoint of then,
    and would add them once more. The file `keep`, which is being written, is left alone."""
    for path in sorted(pathlib.Path(folder).glob('events.out.tfevents.*')):
        if path == keep:
            continue
        content = path.read_bytes()
        kept = b''.join(record(data) for data in records(content) if Event.FromString(data).wall_time <= moment)
        if kept != content:
            write_atomic(path, kept)
