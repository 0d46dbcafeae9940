#!/usr/bin/env bash
# Set up the suite, check the style, run the tests: one process for each core. Arguments go to pytest:
#   bash scripts/test.sh -k margin
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
.venv/bin/python -m ruff check .
OMP_NUM_THREADS=1 exec .venv/bin/python -m pytest -n auto "$@"
