# Toolchain: build for AArch64 on another machine with Debian's cross compiler, run tests under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
# Before version 8 qemu keeps a book of every page that is reserved: half a second for an arena.
set(CMAKE_C_FLAGS_INIT -DWEFT_ARENA_MOST=0x40000000)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
