#!/usr/bin/env bash
# CUB-200-2011, zero-shot retrieval: Embedding Expansion with the HPHN triplet loss.
#
# Paper   Ko and Gu, Embedding Expansion, CVPR 2020, table for CUB200-2011, row "EE + HPHN Triplet"
# Claim   Recall@1/2/4/8 0.517 0.635 0.745 0.825, NMI 60.5; without expansion (--n_inner_pts=0) 0.483 0.619 0.730 0.823
# Cost    as scripts/embedding_expansion.sh: about a day on one GPU. The CPU is for trying out only.
# Note    the authors publish flags for CARS196 alone; these are the same ones.
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/embedding_expansion.sh" --data_name=cub200 "$@"
