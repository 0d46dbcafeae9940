#!/usr/bin/env bash
# Flowers-102: classification with the ranking regulariser, four modes on three networks.
#
# Paper   Taha et al., WACV 2020, Tables 2 and 5
# Claim   ResNet-50, accuracy: hard 86.61, semi_hard 85.52, center 85, vanilla 85.68
# Cost    40,000 updates of 32 images: two hours a row on one GPU (Inception v4: seven)
# Rows    all, beginning with hard; one: bash scripts/flowers102.sh hard; --list shows them with figures and cost
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec python3 "$root/main.py" rows flowers102 "$@"
