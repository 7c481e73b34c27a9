#!/bin/sh
# Installs what building and testing libinfer needs, on Debian and Ubuntu. Arguments are further packages.
set -eu
packages="g++ cmake ninja-build ccache binutils libfmt-dev libspdlog-dev libxsimd-dev libcli11-dev nlohmann-json3-dev libgtest-dev libbenchmark-dev"
missing=""
for p in $packages "$@"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
sudo=""
[ "$(id -u)" -eq 0 ] || sudo="sudo"
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing
