#!/usr/bin/env bash
# Labeled Faces in the Wild: verification, 6,000 pairs in 10 folds.
#
# Paper   Wu et al. 2017, Table 7; Sohn 2016, Table 3; FaceNet
# Claim   margin 98.2 (128 numbers), N-pair 98.33, FaceNet 99.63, all trained on other faces
# Cost    hours on one GPU; train on CASIA-WebFace in class folders: --data_dir=FOLDER. Rows *_view1 need no other data
# Rows    all, beginning with margin; one: bash scripts/lfw.sh margin; --list shows them with figures and cost
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows lfw "$@"
