#include "rocksdb/rocksdb_status.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

TEST(RocksDbStatusTest, each_failure_has_its_code_and_keeps_its_text) {
  const auto code = [](const rocksdb::Status& status) {
    const Status mapped = FromRocksDb(status, "RocksDB in '/state'");
    EXPECT_NE(mapped.message().find("RocksDB in '/state': "), std::string::npos);
    EXPECT_NE(mapped.message().find(status.ToString()), std::string::npos);
    return mapped.code();
  };
  EXPECT_TRUE(FromRocksDb(rocksdb::Status::OK(), "").ok());
  EXPECT_EQ(code(rocksdb::Status::Corruption("block checksum mismatch", "in 000012.sst")),
            StatusCode::kCorruption);
  EXPECT_EQ(code(rocksdb::Status::NoSpace("While appending to file: /state/000012.sst")),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(code(rocksdb::Status::IOError("While open a file", "Too many open files")),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(code(rocksdb::Status::MemoryLimit("cache is full")), StatusCode::kResourceExhausted);
  EXPECT_EQ(code(rocksdb::Status::IOError("While pread", "Input/output error")),
            StatusCode::kIoError);
  EXPECT_EQ(code(rocksdb::Status::InvalidArgument("no")), StatusCode::kInternal);
}

}  // namespace
}  // namespace headrace
