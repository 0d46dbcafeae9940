#!/usr/bin/env bash
# Set up, check and measure on a machine with an NVIDIA driver; ends in a table to paste. No hand work is needed.
#
#   bash scripts/gpu_check.sh                      GPU 0
#   bash scripts/gpu_check.sh --gpu_idx=cpu        the CPU in the GPU's place, to try the check itself
#   bash scripts/gpu_check.sh --vectors=DIR        the recorded vectors of the authors' code, where shared/reference is not
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
exec .venv/bin/python scripts/benchmark.py gpu "$@"
