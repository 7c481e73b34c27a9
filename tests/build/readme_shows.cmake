# The README shows an example exactly as it is compiled. cmake -DREADME=... -DEXAMPLE=... -P readme_shows.cmake
file(READ ${README} readme)
file(READ ${EXAMPLE} example)
string(FIND "${readme}" "${example}" found)
if(found EQUAL -1)
  message(FATAL_ERROR "${README} does not show ${EXAMPLE} word for word")
endif()
