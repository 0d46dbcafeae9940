#!/usr/bin/env bash
# Make .venv and install the suite into it. Safe to run again.
#
#   bash scripts/setup.sh           CPU or GPU runtime, by whether an NVIDIA driver is there
#   bash scripts/setup.sh --cpu     the CPU runtime (mxnet)
#   bash scripts/setup.sh --gpu     the GPU runtime (mxnet-cu112 and the CUDA 11 libraries as wheels)
#
# PYTHON=/path/to/python3.x names the Python to use; otherwise one of 3.9 to 3.12 is looked for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "setup: $*" >&2; exit 1; }

runtime=auto
for word in "$@"; do
  case "$word" in
    --cpu) runtime=cpu ;;
    --gpu) runtime=gpu ;;
    -h|--help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) fail "$word is not an option. Options: --cpu, --gpu" ;;
  esac
done
exec >&2    # what the scripts print on standard output is their command's alone

# System packages: installed when that is allowed without a question, named otherwise.
system() {
  local sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo -n)
  if command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    echo "setup: installing the system packages $*"
    "${sudo[@]}" apt-get update -qq >/dev/null 2>&1 || true
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq "$@" >/dev/null 2>&1 && return 0
  fi
  fail "this machine lacks system packages. Fix: sudo apt-get install $* (or what your system calls them), then run this again."
}

has_driver() { [ -e /proc/driver/nvidia/version ] || command -v nvidia-smi >/dev/null 2>&1; }
if [ "$runtime" = auto ]; then
  if has_driver; then runtime=gpu; else runtime=cpu; fi
fi
if [ "$runtime" = gpu ]; then file=requirements.txt; need=9000; else file=requirements-cpu.txt; need=2500; fi

fits() { "$1" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1; }
python=
if [ -x .venv/bin/python ] && fits .venv/bin/python; then
  python=.venv/bin/python
elif [ -n "${PYTHON:-}" ]; then
  fits "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.9 to 3.12 (MXNet 1.9.1 needs NumPy 1.x, which has no newer builds)."
  python=$PYTHON
else
  for candidate in python3 python3.11 python3.10 python3.12 python3.9 python; do
    if command -v "$candidate" >/dev/null 2>&1 && fits "$candidate"; then python=$candidate; break; fi
  done
fi
[ -n "$python" ] || fail "no Python 3.9 to 3.12 found (python3 is $(python3 --version 2>&1 || echo missing)). Install one, or name it: PYTHON=/path/to/python3.11 bash scripts/setup.sh"

stamp=$(cat "$file" requirements-common.txt | cksum | tr -d ' ')-$runtime
if [ ! -x .venv/bin/python ] || [ "$(cat .venv/installed 2>/dev/null || true)" != "$stamp" ]; then
  free=$(df -Pm . | awk 'NR == 2 {print $4}')
  [ "$free" -ge "$need" ] || fail "$free MB are free here, the $runtime runtime needs about $need MB. Free some space, or clone to another disk."
  if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
      rm -rf .venv
      system python3-venv
      "$python" -m venv .venv || fail "$python cannot make a virtual environment: see its message above."
    fi
  fi
  rm -f .venv/installed
  echo "setup: installing the $runtime runtime into .venv (a few minutes the first time)"
  # The CPU and the GPU build of MXNet share one folder: the other one must go first, or its removal would break this one.
  if [ "$runtime" = gpu ]; then other=mxnet; else other=mxnet-cu112; fi
  if .venv/bin/python -m pip show -q "$other" >/dev/null 2>&1; then
    .venv/bin/python -m pip uninstall -q -y mxnet mxnet-cu112
  fi
  .venv/bin/python -m pip install -q --disable-pip-version-check -r "$file" \
    || fail "pip could not install $file: see its message above (no network, a full disk, or a proxy). Run this again to go on."
fi

# MXNet links to these two libraries of GCC, which slim systems lack.
lacking=()
for pair in libgomp.so.1:libgomp1 libquadmath.so.0:libquadmath0; do
  .venv/bin/python -c "import ctypes, sys; ctypes.CDLL(sys.argv[1])" "${pair%%:*}" >/dev/null 2>&1 || lacking+=("${pair##*:}")
done
[ "${#lacking[@]}" -eq 0 ] || system "${lacking[@]}"

# OpenCV's desktop build needs libGL; on a machine without it the headless build of the same version takes its place.
if ! .venv/bin/python -c 'import cv2' >/dev/null 2>&1; then
  version=$(.venv/bin/python -m pip show opencv-python | awk '/^Version:/ {print $2}')
  .venv/bin/python -m pip install -q --disable-pip-version-check --force-reinstall --no-deps "opencv-python-headless==$version" \
    || fail "OpenCV does not load and its headless build could not be installed."
fi
# `import mxnet` alone, as in a notebook: see core/startup.py.
packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp core/startup.py "$packages/gluon_dml_startup.py"
echo 'import gluon_dml_startup; gluon_dml_startup.install()' > "$packages/gluon_dml.pth"

summary=$(.venv/bin/python - <<'PY'
import sys
try:
    from core.runtime import installed_mxnet, mx
    count = mx.context.num_gpus()
except ValueError as error:
    sys.exit(str(error))
print('{} {} on Python {}.{}; device: {}'.format(installed_mxnet(), mx.__version__, *sys.version_info[:2],
                                                  '{} GPU(s)'.format(count) if count else 'CPU'))
PY
) || fail "MXNet does not load: ${summary:-see the message above}"
echo "$stamp" > .venv/installed
echo "setup: done. $summary"
