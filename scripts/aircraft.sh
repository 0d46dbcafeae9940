#!/usr/bin/env bash
# FGVC-Aircraft: classification with the ranking regulariser, four modes on three networks.
#
# Paper   Taha et al., WACV 2020, Tables 2 and 5
# Claim   ResNet-50, accuracy: hard 87.33, semi_hard 85.08, center 84.48, vanilla 83.22
# Cost    40,000 updates of 32 images: two hours a row on one GPU (Inception v4: seven)
# Rows    all, beginning with hard; one: bash scripts/aircraft.sh hard; --list shows them with figures and cost
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows aircraft "$@"
