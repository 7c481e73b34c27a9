#!/bin/sh
# Builds and runs all tests; arguments go to CMake (-DCMAKE_CXX_COMPILER=clang++-16, -DINFER_SANITIZE=address,undefined ...).
# BUILD names the build folder (default: build), TARGETS what to build and TESTS a regular expression of the tests to run
# (default: all), EXCLUDE one of tests to leave out, INFER_FORCE_ISA the kernels to run them on. The last line is
# "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build}
tools/install-deps.sh >/dev/null || exit 1
launcher=""
command -v ccache >/dev/null && launcher="-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache"
cmake -S . -B "$build" -G Ninja -DINFER_TESTS=ON -DINFER_TOOLS=ON -DINFER_BENCH=ON $launcher "$@" >"$build.log" 2>&1 ||
  { cat "$build.log"; exit 1; }
rm -f "$build.log"
cmake --build "$build" ${TARGETS:+--target $TARGETS} || exit 1
rm -f "$build/results.xml"
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" --output-junit results.xml ${TESTS:+-R "$TESTS"} ${EXCLUDE:+-E "$EXCLUDE"} | grep -v -E '^ *[0-9/]+ Test +#[0-9]+: .* (Passed|\*\*\*Skipped)|^ *Start +[0-9]+:'
head=$(grep -m1 '<testsuite' -A8 "$build/results.xml" | tr '\n' ' ')
count() { printf '%s' "$head" | sed -n "s/.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p"; }
total=$(count tests) failed=$(count failures) skipped=$(count skipped) disabled=$(count disabled)
skipped=$((skipped + disabled))
echo "$((total - failed - skipped)) passed, $failed failed, $skipped skipped"
[ "$total" -gt 0 ] && [ "$failed" -eq 0 ]
