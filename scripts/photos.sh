#!/usr/bin/env bash
# Train on your own photos, one sub-folder a class:  bash scripts/photos.sh FOLDER
#
# Paper   Embedding Expansion's loss and batches, on a small network with settings of our own
# Claim   ours, on the crops of CUB-200 (2010): the first line of docs/results.md
# Cost    about two minutes for 3,000 photos on 2 CPU cores
# Note    --pretrained=True fetches ImageNet weights; a larger network: --backbone=resnet50_v2 --image_size=224
#         Without folders train and test (or a CSV), the first half of the classes trains and the others are searched.
#         Paths hold from where you are; runs are kept in the project's runs/.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" photos "$@"
