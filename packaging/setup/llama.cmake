# Read by CMake inside llama-cpp-python's own project (CMAKE_PROJECT_llama_cpp_INCLUDE), before it
# adds llama.cpp. A plain variable hides the cache entry of the same name (policy CMP0126), so these
# hold although the project forces the first one on.

# Argument parsing, chat parsers, HTTP and JSON for llama.cpp's own programs: a third of the compile,
# and nothing that the Python binding calls is in it.
set(LLAMA_BUILD_COMMON OFF)

# One file per library. Wheels cannot hold symbolic links, so versioned names become copies, and a
# process that opens "libggml.so" beside a library linked to "libggml.so.0" runs two ggmls, each
# with its own list of devices.
set(CMAKE_PLATFORM_NO_VERSIONED_SONAME ON)
