#!/usr/bin/env bash
# DeepEmbedding: margin loss with distance-weighted sampling, N-pair, triplets, HDC, verification of faces.
#
# Paper   Wu et al., Sampling Matters, ICCV 2017; Sohn, NIPS 2016; FaceNet; In Defense of the Triplet Loss; HDC
# Claim   margin on CUB-200-2011, cut to boxes: Recall@1 63.9 (recalled); whole pictures 63.6 (row margin_whole).
#         The repository publishes no Recall@1 of its own.
# Cost    30 epochs of 200 updates of 70 images at 224 px: an hour on one GPU. The CPU is for trying out only.
# Rows    all, beginning with cub200/margin; one: scripts/deep_embedding.sh cub200/margin; figures and cost: --list
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows deep_embedding "$@"
