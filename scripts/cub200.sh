#!/usr/bin/env bash
# CUB-200-2011, zero-shot retrieval: Embedding Expansion, Heated-Up Softmax, DeepEmbedding, Local Sampling.
#
# Paper   Ko and Gu 2020; Zhang et al. 2018; Wu et al. 2017; Sohn 2016; Yuan et al. 2017; Nguyen and De Baets 2020
# Claim   EE + HPHN triplet: Recall@1/2/4/8 51.7 63.5 74.5 82.5, NMI 60.5; --n_inner_pts=0: 48.3 61.9 73 82.3
# Cost    half an hour to 9 hours a row on one GPU, by assumed speeds. The CPU is for trying out only.
# Rows    all, beginning with ee_hphn; one: bash scripts/cub200.sh ee_hphn; --list shows them with figures and cost
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows cub200 "$@"
