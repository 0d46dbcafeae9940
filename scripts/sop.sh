#!/usr/bin/env bash
# Stanford Online Products, zero-shot retrieval.
#
# Paper   as scripts/cub200.sh
# Claim   EE + HPHN triplet: Recall@1/10/100 77.2 89.6 95.5; margin (pretrained) 72.7 86.2 93.8
# Cost    three to thirteen hours a row on one GPU, by assumed speeds; npair_mc, as published, five days
# Rows    all, beginning with ee_hphn; one: bash scripts/sop.sh ee_hphn; --list shows them with figures and cost
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows sop "$@"
