"""Signals that end a training run without losing a step of it."""

import signal
import threading


class Interrupted(Exception):
    """A signal arrived; the checkpoint has been written. `status` is the exit status of the program."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


class Signals:
    """Note SIGINT, SIGTERM and SIGHUP while the loop finishes its step; a second SIGINT stops at once.

    A SIGHUP that is ignored (nohup) stays ignored. Outside the main thread nothing is noted.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self.received, self.before = None, {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in self.NUMBERS:
                if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                    self.before[number] = signal.signal(number, self.note)
        return self

    def note(self, number, frame):
        """The handler."""
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number

    def __exit__(self, *exception):
        for number, handler in self.before.items():
            signal.signal(number, handler)
