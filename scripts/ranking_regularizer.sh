#!/usr/bin/env bash
# Ranking Regularizer: softmax with a second head trained by a ranking loss; five data sets, 4 modes, 3 networks.
#
# Paper   Taha et al., Boosting Standard Classification Architectures Through a Ranking Regularizer, WACV 2020
# Claim   FGVC-Aircraft, ResNet-50, accuracy: hard 87.33, semi_hard 85.08, center 84.48, vanilla 83.22
# Cost    40,000 updates of 32 images at 224 px: two hours a row on one GPU (Inception v4: seven). The CPU is for trying
#         out only.
# Rows    all, beginning with aircraft/hard; one: scripts/ranking_regularizer.sh aircraft/hard; figures and cost: --list
# Note    the paper names 3,334 training images of Aircraft, the program uses training and validation images, as here
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows ranking_regularizer "$@"
