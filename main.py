#!/usr/bin/env python3
"""gluon-dml's command line: run one command, turn errors into a sentence and an exit status."""

import errno
import sys

from core.errors import UserError
from core.interpreter import enter_virtual_environment


def main(argv=None):
    """Run one command; returns the exit status."""
    try:
        from commands import cli
        return cli.run(list(sys.argv[1:] if argv is None else argv))
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        print('\nstopped', file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(f'error: the disk is full ({error.filename or error.strerror}). What was saved before is intact. Fix: '
              'free some space, then go on with '
              '--resume=RUN', file=sys.stderr)
        return 2


if __name__ == '__main__':
    enter_virtual_environment()
    sys.exit(main())
