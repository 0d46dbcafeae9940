#!/usr/bin/env bash
# Train on your own photos, one sub-folder a class:  bash scripts/photos.sh FOLDER
#
# Paper   none: a head on a frozen ImageNet trunk, with settings of our own
# Claim   ours: own_photos_birds and own_photos_cars in docs/evidence.md, the best of five losses on the folds of both
# Cost    about a minute for 3,000 photos on 2 CPU cores: the trunk sees each photo once, then the head trains in seconds
# Note    nothing is downloaded, the weights come with a package; --freeze_trunk=false trains the trunk too (an hour)
#         Without folders train and test (or a CSV), the first half of the classes trains and the others are searched.
#         Paths hold from where you are; runs are kept in the project's runs/.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" photos "$@"
