# What every target shares: language level, warnings, sanitizers, and how a folder becomes a library with its tests.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

option(SALLYPORT_BENCH "build the micro-benchmarks" OFF)
option(SALLYPORT_FUZZ "build the libFuzzer targets (clang)" OFF)
option(SALLYPORT_LINT "run clang-tidy while compiling" OFF)
set(SALLYPORT_SANITIZE "" CACHE STRING "sanitizers, e.g. address,undefined or thread")

if(POLICY CMP0167)
  cmake_policy(SET CMP0167 NEW)  # Boost is found by its own description
endif()
find_package(OpenSSL 3.5 REQUIRED)
find_package(Boost 1.74 REQUIRED)
find_package(Threads REQUIRED)

add_library(sallyport_options INTERFACE)
target_compile_options(sallyport_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual -Werror
  -fno-omit-frame-pointer -fstack-protector-strong)
target_compile_definitions(sallyport_options INTERFACE
  $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2> BOOST_ASIO_NO_DEPRECATED)
target_include_directories(sallyport_options INTERFACE "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(sallyport_options INTERFACE Threads::Threads)
if(SALLYPORT_SANITIZE)
  target_compile_options(sallyport_options INTERFACE -fsanitize=${SALLYPORT_SANITIZE} -U_FORTIFY_SOURCE)
  target_link_options(sallyport_options INTERFACE -fsanitize=${SALLYPORT_SANITIZE})
  if(SALLYPORT_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(sallyport_options INTERFACE -Wno-tsan)  # Asio's fences, which it does not need for its locks
  endif()
  # g++ warns of overflows that are not there, in headers (Boost.JSON), once sanitizers have rearranged the code.
  target_compile_options(sallyport_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>)
endif()
if(SALLYPORT_FUZZ)
  target_compile_options(sallyport_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(SALLYPORT_LINT)
  find_program(SALLYPORT_CLANG_TIDY NAMES clang-tidy-19 clang-tidy REQUIRED)
  set(CMAKE_CXX_CLANG_TIDY "${SALLYPORT_CLANG_TIDY};--quiet")
endif()

# sallyport_library(NAME [DEPS target…]) makes one library of the folder's *.cpp, and one test program of its
# *_test.cpp, each test registered with CTest under its own name.
function(sallyport_library name)
  cmake_parse_arguments(arg "" "" "DEPS;TEST_DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC sallyport_options ${arg_DEPS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE sallyport_options ${arg_DEPS})
  endif()
  if(BUILD_TESTING AND tests)
    sallyport_test(${name}_test SOURCES ${tests} DEPS ${name} ${arg_TEST_DEPS})
  endif()
endfunction()

# sallyport_test(NAME SOURCES file… DEPS target… [TIMEOUT seconds] [PROPERTIES name value…])
function(sallyport_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPS;PROPERTIES" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE SALLYPORT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${arg_TIMEOUT} ${arg_PROPERTIES})
endfunction()

# The same for tests of whole processes, with sallyport_harness and the label by which they are left out where their time
# bounds would not hold.
function(sallyport_whole_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPS;PROPERTIES" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 180)
  endif()
  sallyport_test(${name} SOURCES ${arg_SOURCES} DEPS ${arg_DEPS} sallyport_harness TIMEOUT ${arg_TIMEOUT}
    PROPERTIES LABELS whole ${arg_PROPERTIES})
endfunction()
