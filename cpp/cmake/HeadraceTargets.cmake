# headrace_library(<folder> [DEPS <folder>...] [EXTERNAL <target>...])
#
# Defines the target hr_<folder> from every .cc below the calling folder. DEPS are the folders it may
# use, EXTERNAL the third-party targets only its own sources see. A folder that holds headers only
# becomes an interface target, so the layers link before the first source is written.
function(headrace_library folder)
  cmake_parse_arguments(ARG "" "" "DEPS;EXTERNAL" ${ARGN})
  list(TRANSFORM ARG_DEPS PREPEND hr_)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cc)
  if(sources)
    add_library(hr_${folder} STATIC ${sources})
    target_link_libraries(hr_${folder} PUBLIC hr_flags headrace::headers ${ARG_DEPS}
                                       PRIVATE ${ARG_EXTERNAL})
  else()
    add_library(hr_${folder} INTERFACE)
    target_link_libraries(hr_${folder} INTERFACE hr_flags headrace::headers ${ARG_DEPS})
  endif()
endfunction()

# One GoogleTest executable hr_test_<folder> for each folder below `directory` that holds a *_test.cc.
# Tests are named <folder>.<Suite>.<Name> in ctest and find files by HEADRACE_SOURCE_DIR.
function(headrace_add_tests directory)
  find_package(GTest REQUIRED)
  include(GoogleTest)
  file(GLOB entries CONFIGURE_DEPENDS LIST_DIRECTORIES true ${PROJECT_SOURCE_DIR}/${directory}/*)
  foreach(entry ${entries})
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${entry}/*.cc)
    if(NOT IS_DIRECTORY ${entry} OR NOT sources)
      continue()
    endif()
    get_filename_component(folder ${entry} NAME)
    add_executable(hr_test_${folder} ${sources})
    # What GoogleTest's macros become takes long to optimise and runs but once. The simulation runs for minutes.
    if(NOT folder STREQUAL simulation AND NOT CMAKE_BUILD_TYPE STREQUAL Debug)
      set(tests ${sources})
      list(FILTER tests INCLUDE REGEX "_test\\.cc$")
      set(level -O1)
      if(HEADRACE_SANITIZE)
        set(level -O0)
      endif()
      set_source_files_properties(${tests} PROPERTIES COMPILE_OPTIONS ${level})
    endif()
    target_include_directories(hr_test_${folder} PRIVATE ${PROJECT_SOURCE_DIR}/${directory})
    target_link_libraries(hr_test_${folder} PRIVATE hr_testing GTest::gtest GTest::gtest_main)
    if(folder STREQUAL rocksdb)  # above the engine, whose libraries are all below hr_testing
      target_link_libraries(hr_test_${folder} PRIVATE hr_rocksdb headrace::rocksdb)
    endif()
    target_compile_definitions(hr_test_${folder} PRIVATE
      HEADRACE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    # The simulation runs seeds on two cores. The longest first, so that no core waits in the end.
    # Under AddressSanitizer frames in the heap nearly double the time of simulated jobs; all other
    # tests have them.
    set(cost 0)
    set(processors 1)
    set(environment)
    if(folder STREQUAL simulation)
      set(processors 2)
    elseif(folder STREQUAL recovery)
      set(cost 100)
    endif()
    if(folder MATCHES "^(simulation|recovery)$")
      set(environment ENVIRONMENT_MODIFICATION
          ASAN_OPTIONS=string_append::detect_stack_use_after_return=0)
    endif()
    gtest_discover_tests(hr_test_${folder} TEST_PREFIX ${folder}. DISCOVERY_TIMEOUT 60
                         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                         PROPERTIES TIMEOUT 900 COST ${cost} PROCESSORS ${processors} ${environment})
  endforeach()
endfunction()

# One executable hr_fuzz_<name> for each <name>_fuzz.cc of `directory`, all built by the target hr_fuzz.
# Where the sanitizers include a fuzzer it makes up inputs; everywhere else the executable replays the
# corpus, as the test fuzz.<name>.
function(headrace_add_fuzz_targets directory)
  set(folder ${PROJECT_SOURCE_DIR}/${directory})
  file(GLOB targets CONFIGURE_DEPENDS ${folder}/*_fuzz.cc)
  add_library(hr_fuzz_inputs STATIC ${folder}/arrow_array_of_bytes.cc)
  target_link_libraries(hr_fuzz_inputs PUBLIC hr_testing)
  add_custom_target(hr_fuzz)
  foreach(source ${targets})
    get_filename_component(name ${source} NAME_WE)
    string(REGEX REPLACE "_fuzz$" "" name ${name})
    add_executable(hr_fuzz_${name} ${source})
    target_link_libraries(hr_fuzz_${name} PRIVATE hr_fuzz_inputs)
    add_dependencies(hr_fuzz hr_fuzz_${name})
    if(HEADRACE_SANITIZE MATCHES "fuzzer")
      target_link_options(hr_fuzz_${name} PRIVATE -fsanitize=fuzzer)
    else()
      target_sources(hr_fuzz_${name} PRIVATE ${folder}/replay_main.cc)
      add_test(NAME fuzz.${name} COMMAND hr_fuzz_${name} ${folder}/corpus/${name})
    endif()
  endforeach()
endfunction()

# One Google Benchmark executable for each *_bench.cc below `directory`, named after the file.
function(headrace_add_benchmarks directory)
  find_package(benchmark REQUIRED)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${directory}/*_bench.cc)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE hr_testing benchmark::benchmark_main)
    if(name MATCHES "^(cold_store|row_cache)_bench$")
      target_link_libraries(${name} PRIVATE hr_rocksdb headrace::rocksdb)
    endif()
  endforeach()
endfunction()
