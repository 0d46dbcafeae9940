"""Work on several processes or machines, by Dask: `--cluster=local:4` or `--cluster=tcp://scheduler:8786`."""

import logging
import re
from collections import deque

from core.errors import UserError

WAITING = 4    # tasks of each worker that are handed out at a time: the rest waits here, not in the scheduler's memory
HELP = ('Dask workers: local:N starts N processes here, tcp://HOST:PORT is a scheduler that has this repository on its '
        'PYTHONPATH, as its workers have, which read the same files')


class Cluster:
    """Workers that compute tasks; a context manager.

    Parameters
    ----------
    address : 'local:N' or 'tcp://HOST:PORT'
    """

    def __init__(self, address):
        try:
            import distributed
        except ImportError:
            raise UserError(f'--cluster={address} needs Dask. Fix: pip install -r requirements-cluster.txt') from None
        self.address, self.local = address, None
        match = re.fullmatch(r'local:([1-9]\d*)', address)
        if not match and '://' not in address:
            raise UserError(f'--cluster={address} is no cluster. Legal values: local:4, tcp://HOST:PORT')
        logging.getLogger('distributed').setLevel(logging.ERROR)
        try:
            if match:
                self.local = distributed.LocalCluster(n_workers=int(match[1]), threads_per_worker=1,
                                                      dashboard_address=None, memory_limit=0)
            self.client = distributed.Client(self.local or address, timeout='20s')
            self.client.wait_for_workers(1, timeout=60)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(f'--cluster={address}: no worker answers ({error}). Fix: start them '
                            '(PYTHONPATH=REPOSITORY dask scheduler; PYTHONPATH=REPOSITORY dask worker '
                            'tcp://HOST:8786), or --cluster=local:2') from error
        self.killed = distributed.KilledWorker

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.client.close()
        if self.local is not None:
            self.local.close()

    def share(self, array):
        """The array on every worker; what stands for it in a task."""
        # hash=False: under one name for equal arrays, the release of the first would take the second away
        return self.client.scatter(array, broadcast=True, hash=False)

    def run(self, function, tasks):
        """Results of function(*task) in the order of the tasks. A task whose worker dies is done again by another."""
        window = WAITING * max(1, len(self.client.scheduler_info()['workers']))
        queue = deque()
        for task in tasks:
            queue.append(self.client.submit(function, *task, pure=False))
            if len(queue) >= window:
                yield self._result(queue.popleft())
        while queue:
            yield self._result(queue.popleft())

    def _result(self, future):
        try:
            return future.result()
        except self.killed as error:
            raise UserError(f'--cluster={self.address}: a task ended every worker that tried it, most likely for want '
                            'of memory. Fix: fewer workers on each machine') from error
        except (ModuleNotFoundError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and 'deserialization' not in str(error):
                raise
            what = error.name if isinstance(error, ModuleNotFoundError) else 'the suite'
            raise UserError(f'--cluster={self.address}: its scheduler or its workers cannot import {what}. Fix: start '
                            'both with PYTHONPATH=REPOSITORY in an environment that scripts/setup.sh made') from error
