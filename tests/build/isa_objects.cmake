# Holds the promise of one binary for every machine: only objects of folders called isa contain instructions that not every machine
# has, and they share no function with other objects (a weak symbol of theirs could be the copy that the linker keeps).
# With FMA those of the specification do as well, in builds that are for tests alone.
# cmake -DOBJECTS=<a|b|c> -DOBJDUMP=<GNU objdump> -DNM=<nm> -DFMA=<ON|OFF> -P isa_objects.cmake
string(REPLACE "|" ";" objects "${OBJECTS}")
set(n_isa 0)
foreach(object ${objects})
  if(FMA AND object MATCHES "/ops/scalar")
    continue()
  endif()
  execute_process(COMMAND ${OBJDUMP} -d --no-show-raw-insn ${object} COMMAND grep -m 1 -E "%[yz]mm|[[:space:]]v[a-z0-9]+ .*%xmm"
                  OUTPUT_VARIABLE avx)
  if(NOT object MATCHES "/isa/")
    if(avx)
      message(SEND_ERROR "${object} has AVX code: ${avx}")
    endif()
    continue()
  endif()
  math(EXPR n_isa "${n_isa} + 1")
  if(NOT avx)
    message(SEND_ERROR "${object} has no AVX code")
  endif()
  if(object MATCHES "/avxvnni\\.cpp")   # no AVX-512: its dot products have the prefix VEX, and no instruction has EVEX, which is 62
    execute_process(COMMAND ${OBJDUMP} -d --insn-width=16 ${object} COMMAND grep -m 1 -E "^ +[0-9a-f]+:[[:space:]]+62 |%zmm|%k[0-7]"
                    OUTPUT_VARIABLE evex)
    execute_process(COMMAND ${OBJDUMP} -d --insn-width=16 ${object} COMMAND grep -m 1 -E ":[[:space:]]+c4 .*vpdpbusd .*%ymm" OUTPUT_VARIABLE vex)
    if(evex OR NOT vex)
      message(SEND_ERROR "${object} has EVEX code, or no dot products of bytes with VEX: ${evex}")
    endif()
  endif()
  execute_process(COMMAND ${NM} -C ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE " V DW.ref.__gxx_personality_v0" "" symbols "${symbols}")   # the address of a function of libstdc++
  string(REGEX MATCHALL "[^\n]* [WVu] [^\n]*" weak "${symbols}")
  if(weak)
    message(SEND_ERROR "${object} has weak symbols:\n${weak}")
  endif()
endforeach()
if(n_isa LESS 2)
  message(SEND_ERROR "expected the objects of ops/isa among ${OBJECTS}")
endif()
