# Compile through ccache when it is installed. The base directory makes a copy of the tree elsewhere hit
# the same cache entries; time stamps and directories do not enter the hash.
find_program(HEADRACE_CCACHE ccache)
if(HEADRACE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
                                  CCACHE_NOHASHDIR=1 ${HEADRACE_CCACHE})
endif()
