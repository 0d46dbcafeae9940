"""main.py with the colour engine in place of a network: python -m tests.serving.launch COMMAND ...

SLOW=SECONDS in the environment makes each forward pass take so long.
"""

import os
import sys
import time

import main
from serving import engines
from tests.serving.stub import Colours


class Slow(Colours):
    """Colours that takes its time."""

    def forward(self, batch):
        time.sleep(float(os.environ.get('SLOW', '0')))
        return super().forward(batch)


if __name__ == '__main__':
    engines.open_engine = lambda source, engine, **options: Slow()
    sys.exit(main.main(sys.argv[1:]))
