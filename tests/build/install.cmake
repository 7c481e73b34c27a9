# Installs into an empty prefix, runs the program there with its bundled model, and builds and runs a consumer against it.
# cmake -DBUILD=<build folder> -DEXAMPLE=<hello.c> -DC_COMPILER=... -DCXX_COMPILER=... -P install.cmake
set(prefix ${BUILD}/install-test/prefix)
file(REMOVE_RECURSE ${BUILD}/install-test)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)

# The prefix may move, and the build tree's model is not what is found.
file(RENAME ${prefix} ${BUILD}/install-test/moved)
set(prefix ${BUILD}/install-test/moved)
execute_process(COMMAND ${prefix}/bin/infer info --json OUTPUT_VARIABLE info COMMAND_ERROR_IS_FATAL ANY)
if(NOT info MATCHES "install-test/moved/share/libinfer")
  message(SEND_ERROR "the installed program does not use the installed model: ${info}")
endif()
execute_process(COMMAND ${prefix}/bin/infer run -n 12 --temp 0 OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
if(NOT text MATCHES "^Prince Andrew, [a-zA-Z]+ [a-zA-Z]+")
  message(SEND_ERROR "the installed program wrote '${text}'")
endif()
file(GLOB_RECURSE headers RELATIVE ${prefix}/include ${prefix}/include/*)
if(NOT headers STREQUAL "libinfer.h;libinfer.hpp")
  message(SEND_ERROR "installed headers: ${headers}")
endif()

set(consumer ${BUILD}/install-test/consumer)
execute_process(COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/consumer -B ${consumer} -DCMAKE_PREFIX_PATH=${prefix}
  -DEXAMPLE=${EXAMPLE} -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_CXX_COMPILER=${CXX_COMPILER} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${consumer} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${consumer}/consumer ${prefix}/share/libinfer/war-and-peace-2.6m-q8_0.gguf OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
if(NOT text MATCHES "[a-z]+ [a-z]+ [a-z]+")
  message(SEND_ERROR "the consumer wrote '${text}'")
endif()
