# Leaves out of what ctest prints what went well: the tests that passed, and in the output of a program that ran many of them
# all from their first line to their last. A test that has no last line is the one that the program died in.
/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / || /^ *Start +[0-9]+: / || /tests passed, [0-9]+ tests failed/ {
  printf "%s", held
  held = ""
  if (/^ *Start / || /( Passed|\*\*\*Skipped) /) next
}
/^\[----------\]/ { next }
/^\[ RUN      \]/ { held = $0 "\n"; next }
/^\[(       OK |  SKIPPED )\]/ { held = ""; next }
held != "" { held = held $0 "\n" }
held != "" && !/^\[  FAILED  \]/ { next }
held != "" { printf "%s", held; held = ""; next }
{ print }
END { printf "%s", held }
