#!/bin/sh
# Builds and runs all tests; arguments go to CMake (-DCMAKE_CXX_COMPILER=clang++-16, -DINFER_SANITIZE=address,undefined ...).
# BUILD names the build folder (default: build), TARGETS the programs of tests to build and run (default: all), FILTER the
# tests to run, as GoogleTest writes it ('Pack*:Tables/*/neon*', '-Types/*'; default: all), INFER_FORCE_ISA the kernels to run
# them on. The last line is "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build}
tools/install-deps.sh >/dev/null || exit 1
launcher=""
command -v ccache >/dev/null && launcher="-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache"
export CCACHE_SLOPPINESS=pch_defines,time_macros   # it keeps nothing that has a precompiled header otherwise
cmake -S . -B "$build" -G Ninja -DINFER_TESTS=ON -DINFER_TOOLS=ON -DINFER_BENCH=ON $launcher "$@" >"$build.log" 2>&1 ||
  { cat "$build.log"; exit 1; }
rm -f "$build.log"
cmake --build "$build" ${TARGETS:+--target $TARGETS} || exit 1

# The programs that run many tests read the filter themselves; ctest is told the same for the others.
filter=${FILTER:-*} without=""
only=${filter%%-*}
case $filter in *-*) without=${filter#*-} ;; esac
names() { printf '%s' "$1" | sed 's/[.]/[.]/g; s/[?]/./g; s/[*]/.*/g; s/:/|/g; s/.*/^(&)( |$)/'; }
rm -rf "$build/results.xml" "$build/shards"
GTEST_FILTER=$filter ctest --test-dir "$build" --output-on-failure -j "$(nproc)" --output-junit results.xml \
  ${TARGETS:+-L "^($(echo $TARGETS | tr ' ' '|'))\$"} -R "^Shards[.]|$(names "${only:-*}")" ${without:+-E "$(names "$without")"} |
  awk -f tests/build/show_failures.awk
counts=$(awk -v shards="$build/shards/" -f tests/build/count_tests.awk "$build/results.xml")
echo "$counts"
case $counts in "0 passed, 0 failed, 0 skipped") exit 1 ;; *" 0 failed, "*) ;; *) exit 1 ;; esac
