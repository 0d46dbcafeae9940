#!/usr/bin/env bash
# MNIST: the six maps of Heated-Up Softmax (scripts/heated_up_mnist.sh is the same).
#
# Paper   Zhang et al., Heated-Up Softmax Embedding, 2018, Figure 3
# Claim   pictures, no figures
# Cost    100 epochs a map: minutes on a GPU, about an hour on 2 cores
# Rows    all, beginning with map_heated; one: bash scripts/mnist.sh map_heated; --list shows them with figures and cost
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows mnist "$@"
