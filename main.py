#!/usr/bin/env python3
"""gluon-dml: train, evaluate and search deep-metric-learning networks.

    python3 main.py --loss=hphn_triplet --n_inner_pts=2        train on the built-in letters
    python3 main.py --loss=margin --help                       flags of one loss
    python3 main.py evaluate --checkpoint=RUN                  score a run again
    python3 main.py prepare --data_name=cub200                 fetch and verify a benchmark
    python3 main.py report RUN [RUN ...]                       table and page of several runs
"""

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
