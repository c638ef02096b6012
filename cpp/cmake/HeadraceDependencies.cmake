# Libraries from the system. Each becomes an imported target headrace::<name>; a missing one stops the
# configure step with the name of the Debian package that has it.
function(headrace_find_library name header package)
  find_path(HR_${name}_INCLUDE ${header})
  find_library(HR_${name}_LIBRARY ${name})
  if(NOT HR_${name}_INCLUDE OR NOT HR_${name}_LIBRARY)
    message(FATAL_ERROR "headrace needs ${name} (on Debian and Ubuntu: apt-get install ${package})")
  endif()
  add_library(headrace::${name} UNKNOWN IMPORTED)
  set_target_properties(headrace::${name} PROPERTIES
    IMPORTED_LOCATION ${HR_${name}_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${HR_${name}_INCLUDE})
endfunction()

headrace_find_library(zstd zstd.h libzstd-dev)
headrace_find_library(lz4 lz4.h liblz4-dev)
headrace_find_library(snappy snappy.h libsnappy-dev)

# RocksDB: the system's, or one built elsewhere, below HEADRACE_ROCKSDB_ROOT (include/ and lib/).
set(HEADRACE_ROCKSDB_ROOT "" CACHE PATH "Folder of a RocksDB to use instead of the system's")
if(HEADRACE_ROCKSDB_ROOT)
  find_path(HR_rocksdb_INCLUDE rocksdb/db.h PATHS ${HEADRACE_ROCKSDB_ROOT}/include
            NO_DEFAULT_PATH REQUIRED)
  find_library(HR_rocksdb_LIBRARY rocksdb PATHS ${HEADRACE_ROCKSDB_ROOT}/lib NO_DEFAULT_PATH REQUIRED)
endif()
headrace_find_library(rocksdb rocksdb/db.h librocksdb-dev)

# Header-only: xxHash and Boost (boost::unordered_flat_map came with 1.81).
find_path(HR_xxhash_INCLUDE xxhash.h)
find_path(HR_boost_INCLUDE boost/unordered/unordered_flat_map.hpp)
if(NOT HR_xxhash_INCLUDE OR NOT HR_boost_INCLUDE)
  message(FATAL_ERROR "headrace needs the headers of xxHash and Boost >= 1.81 "
                      "(on Debian and Ubuntu: apt-get install libxxhash-dev libboost1.81-dev)")
endif()
add_library(headrace::headers INTERFACE IMPORTED)
target_include_directories(headrace::headers INTERFACE ${HR_xxhash_INCLUDE} ${HR_boost_INCLUDE})
