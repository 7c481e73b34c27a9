# Sums the tests of a JUnit file of ctest. A shard counts as the tests in the file that its program wrote, and as one that
# failed where the program did not get as far as that, or where nothing but its end failed, as with a leak.
function attribute(line, name) {
  return match(line, " " name "=\"[0-9]+\"") ? substr(line, RSTART + length(name) + 3, RLENGTH - length(name) - 4) + 0 : 0
}
/<testcase name="Shards[.]/ {
  split($0, part, "\"")
  file = shards part[2] ".xml"
  bad = 0
  whole = 0
  while ((getline line < file) > 0) {
    if (line ~ /^  <testsuite /) {
      total += attribute(line, "tests")
      bad += attribute(line, "failures")
      skipped += attribute(line, "skipped") + attribute(line, "disabled")
    }
    if (line ~ /^<\/testsuites>/) whole = 1
  }
  close(file)
  if (!whole) print part[2] " ended before its tests did" >"/dev/stderr"
  if (bad == 0 && (!whole || $0 !~ /status="run"/)) {
    bad = 1
    total++
  }
  failed += bad
  next
}
/<testcase / { total++ }
/<testcase .*status="fail"/ { failed++ }
/<testcase .*status="(notrun|disabled)"/ { skipped++ }
END { printf "%d passed, %d failed, %d skipped\n", total - failed - skipped, failed, skipped }
