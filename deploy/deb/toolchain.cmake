# CMake's side of building for another processor; cross.py sets the variables.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR $ENV{RTCAGENT_MACHINE})
set(CMAKE_CXX_COMPILER $ENV{RTCAGENT_TRIPLE}-g++)
set(CMAKE_STRIP $ENV{RTCAGENT_TRIPLE}-strip)
set(CMAKE_SYSROOT $ENV{RTCAGENT_SYSROOT})
set(CMAKE_LIBRARY_ARCHITECTURE $ENV{RTCAGENT_TRIPLE})

# Python's headers; its interpreter is this machine's, and tells the module's suffix as cross.py has it told.
set(Python_INCLUDE_DIR $ENV{RTCAGENT_SYSROOT}/usr/include/python$ENV{RTCAGENT_PYTHON} CACHE PATH "" FORCE)

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)  # pybind11 lies in the build's own environment
