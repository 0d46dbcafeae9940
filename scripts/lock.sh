#!/usr/bin/env bash
# Write requirements-lock-cpu.txt anew: every package of the CPU runtime with its version and hashes, for Python 3.9 to 3.12.
# Made by uv (pip install uv). Install from it with: pip install --require-hashes -r requirements-lock-cpu.txt
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v uv >/dev/null 2>&1 || { echo "lock: uv is not installed. Fix: pip install uv" >&2; exit 2; }
exec uv pip compile --universal --python-version 3.9 --generate-hashes --no-emit-index-url --no-emit-find-links \
  --custom-compile-command "bash scripts/lock.sh" requirements-cpu.txt -o requirements-lock-cpu.txt "$@"
