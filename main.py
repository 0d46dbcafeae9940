#!/usr/bin/env python3
"""gluon-dml's command line: run one command, turn errors into a sentence and an exit status.

Faults of the program end in a traceback; `python3 -X dev main.py ...` shows one for every error.
"""

import sys

from core.errors import explain
from core.gluon_internals import skip_shutdown
from core.interpreter import enter_virtual_environment


def main(argv=None):
    """Run one command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='backslashreplace')    # a terminal that cannot show a class name still shows it
    try:
        from commands import cli
        return cli.run(list(sys.argv[1:] if argv is None else argv))
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        print('\nstopped', file=sys.stderr)
        return 130
    except Exception as error:
        sentence = explain(error)
        if sentence is None or sys.flags.dev_mode:
            raise
        skip_shutdown()
        print(f'error: {sentence}', file=sys.stderr)
        return 2


if __name__ == '__main__':
    enter_virtual_environment()
    sys.exit(main())
