# Cross-builds for 64-bit ARM with Debian's packages g++-aarch64-linux-gnu and qemu-user, which runs the tests:
# cmake -DCMAKE_TOOLCHAIN_FILE=tests/build/aarch64.cmake -DINFER_BENCH=OFF ...
# EMULATED_CPU names the processor (default: one that has everything).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(EMULATED_CPU max CACHE STRING "Processor that qemu-aarch64 is to be")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu ${EMULATED_CPU} -L /usr/aarch64-linux-gnu)
# Third parties are headers, the same for all machines; their packages stand in a folder of the build machine.
list(APPEND CMAKE_PREFIX_PATH /usr/lib/${CMAKE_HOST_SYSTEM_PROCESSOR}-linux-gnu/cmake)
