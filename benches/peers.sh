#!/usr/bin/env bash
# lanchat beside termchat and ZRE (pyre): benches/peers.sh [--quick]
#
# Installs both into a directory of their own (PEERS, else below target/), and runs the comparison of
# `cargo bench --bench lan`: all three only on hosts that exist only there. What cannot be installed
# gets a column that says so. CARGO_FLAGS are passed to cargo bench.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"

root=${PEERS:-$PWD/target/peers}
mkdir -p "$root"
root=$(cd "$root" && pwd)

if [[ ! -x $root/bin/termchat ]]; then
  echo "installing termchat into $root" >&2
  CARGO_TARGET_DIR=$root/build cargo install --quiet --locked --root "$root" termchat@1.3.1 >&2 ||
    echo "termchat cannot be installed" >&2
  rm -rf "$root/build"
fi
if ! "$root/venv/bin/python" -c 'import pyre' 2>/dev/null; then
  echo "installing pyre into $root" >&2
  { python3 -m venv "$root/venv" && "$root/venv/bin/pip" install --quiet zeromq-pyre==0.3.4 >&2; } ||
    { echo "pyre cannot be installed" >&2; rm -rf "$root/venv"; }
fi

# shellcheck disable=SC2086 # several flags
LANCHAT_PEERS=$root timeout --signal=TERM 1500 \
  cargo bench --quiet ${CARGO_FLAGS:-} --bench lan -- peers "$@"
