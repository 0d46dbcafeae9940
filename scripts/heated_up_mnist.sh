#!/usr/bin/env bash
# Heated-Up Softmax on MNIST: LeNet with a 2-D bottleneck, and a picture of the embedding every 10 epochs.
#
# Paper   Zhang et al., Heated-Up Softmax Embedding, 2018, Section 3.2 and Figure 3
# Claim   a small alpha (0.25) gives compact but merging classes, a large one (64) arcs that touch their neighbours,
#         16 heated up to 4 compact and separate ones. No accuracy is published.
# Cost    100 epochs: about an hour a map on 2 cores, minutes on a GPU. A 3-D map: --embed_dim=3
# Rows    map_heated, map_0.25, map_4, map_16, map_32, map_64; one: bash scripts/heated_up_mnist.sh map_heated
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows mnist "$@"
