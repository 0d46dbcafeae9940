#!/usr/bin/env bash
# Embedding Expansion: HPHN triplet and other losses with two synthetic points between every two positives.
#
# Paper   Ko and Gu, Embedding Expansion, CVPR 2020: the tables for CARS196, CUB200-2011 and SOP, 10 rows each
# Claim   EE + HPHN triplet on CARS196: Recall@1/2/4/8 71.6 80.7 87.5 92.2 (paper); 74.5 (authors' repository)
# Cost    96,000 updates of 128 images at 227 px a row: about 9 hours on one GPU, by assumed speeds. The CPU is for trying out only.
# Rows    all, beginning with cars196/ee_hphn; one: scripts/embedding_expansion.sh cars196/ee_hphn; figures and cost: --list
# Flags   those of the authors' README; anything can be overridden: --n_inner_pts=0
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows embedding_expansion "$@"
