#!/bin/sh
# Installs what is needed, builds, and generates text with the bundled model. For a first look.
set -eu
cd "$(dirname "$0")/.."
tools/install-deps.sh >/dev/null
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DINFER_TESTS=OFF -DINFER_BENCH=OFF >/dev/null
cmake --build build
echo
build/infer run
