#!/usr/bin/env bash
# Cars196: zero-shot retrieval (cars196/...), and classification with the ranking regulariser (stanford_cars/...).
#
# Paper   as scripts/cub200.sh, and Taha et al. 2020
# Claim   EE + HPHN triplet: Recall@1/2/4/8 71.6 80.7 87.5 92.2; hard: accuracy 89.44
# Cost    half an hour to 9 hours a row on one GPU, by assumed speeds. The CPU is for trying out only.
# Rows    all, beginning with ee_hphn; one: bash scripts/cars196.sh ee_hphn; --list shows them with figures and cost
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows cars196 "$@"
