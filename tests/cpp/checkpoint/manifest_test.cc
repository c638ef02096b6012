#include "headrace/checkpoint/manifest.h"

#include <gtest/gtest.h>

#include <limits>

#include "golden_file.h"
#include "headrace/base/bytes.h"
#include "headrace/storage/key_ring.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

constexpr const char* kFile = "/state/chk-3.manifest";

// One of everything, with the extremes of each field. The golden files hold its bytes as each
// version wrote them, and must be readable for ever.
Manifest Sample() {
  Manifest manifest;
  manifest.job_key = "flights ✈";
  manifest.id = 3;
  manifest.run_id = 2;
  manifest.kind = CheckpointKind::kFinal;
  manifest.created_ms = 1357000000123;
  manifest.parent_digest = {1, std::numeric_limits<uint64_t>::max()};
  manifest.files = {{.name = "data-2-3-0-1.hrs",
                     .size_bytes = 1000,
                     .digest = {2, 3},
                     .checkpoint = 3,
                     .key_id = "k1"},
                    {.name = "data-1-2-0-1.hrs",
                     .size_bytes = 300,
                     .digest = {4, 5},
                     .checkpoint = 2,
                     .key_id = {}}};
  manifest.renames = {{.temporary_path = "/out/.part-0.tmp",
                       .final_path = "/out/part-0",
                       .size_bytes = uint64_t{1} << 40,
                       .digest = {6, 7}}};
  OperatorManifest source;
  source.operator_id = "source";
  source.name = "read flights";
  source.kind = "source";
  source.splits = {{.id = "a",
                    .position = std::string("\0\xff", 2),
                    .watermark = "w",
                    .rows_read = std::numeric_limits<int64_t>::max(),
                    .finished = true}};
  source.subtasks.resize(1);
  source.subtasks[0].key_groups = {0, -1};
  source.subtasks[0].operator_state = "items";
  source.subtasks[0].finished = true;
  source.subtasks[0].state_bytes = 5;
  OperatorManifest sum;
  sum.operator_id = "sum";
  sum.name = "Sum";
  sum.kind = "window";
  sum.parallelism = 2;
  sum.max_parallelism = kMaxParallelismLimit;
  sum.keyed = true;
  sum.registry = {{.name = "total",
                   .fingerprint = "value<int64>",
                   .kind = TableKind::kFixedValue,
                   .bytes = 80,
                   .rows = 10}};
  sum.subtasks.resize(2);
  for (int i = 0; i < 2; ++i) {
    SubtaskManifest& subtask = sum.subtasks[static_cast<size_t>(i)];
    subtask.index = i;
    subtask.key_groups = {i * 16384, i * 16384 + 16383};
    subtask.state_bytes = 40;
    TableManifest table;
    table.meta = {.name = "total",
                  .kind = TableKind::kFixedValue,
                  .state_name = "total",
                  .fingerprint = "value<int64>",
                  .dictionary = "keys",
                  .row_bytes = 8,
                  .partition_rows = 8192,
                  .partition_bytes = std::numeric_limits<uint32_t>::max(),
                  .compression = {}};
    table.live_bytes = 40;
    table.partitions = {{{.file = 1,
                          .offset = 48,
                          .stored_bytes = 252,
                          .raw_bytes = 4000,
                          .whole = true,
                          .codec = CodecId::kZstd,
                          .digest = {8, 9}},
                         {.file = 0,
                          .offset = 48,
                          .stored_bytes = 952,
                          .raw_bytes = 40,
                          .whole = false,
                          .codec = CodecId::kNone,
                          .digest = {10, 11}}},
                        {}};
    subtask.tables = {table};
  }
  manifest.operators = {source, sum};
  return manifest;
}

Result<Manifest> Parse(std::string_view bytes) { return ParseManifest(bytes, kFile); }

TEST(Manifest, ReadsBackEveryFieldItWrote) {
  const Manifest sample = Sample();
  const Result<Manifest> read = Parse(SerializeManifest(sample));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  // Serialising is a function of all fields, so equal bytes mean equal fields.
  EXPECT_EQ(SerializeManifest(*read), SerializeManifest(sample));
  EXPECT_EQ(read->job_key, sample.job_key);
  EXPECT_EQ(read->kind, CheckpointKind::kFinal);
  EXPECT_EQ(read->created_ms, sample.created_ms);
  EXPECT_EQ(read->files, sample.files);
  ASSERT_EQ(read->operators.size(), 2u);
  EXPECT_EQ(read->operators[0].splits[0].position, std::string("\0\xff", 2));
  EXPECT_EQ(read->operators[0].subtasks[0].key_groups, (KeyGroupRange{0, -1}));
  EXPECT_EQ(read->operators[1].subtasks[1].tables[0].partitions,
            sample.operators[1].subtasks[1].tables[0].partitions);
  EXPECT_EQ(read->state_bytes(), 85u);
  EXPECT_EQ(read->Find("sum")->name, "Sum");
  EXPECT_EQ(read->Find("other"), nullptr);
}

TEST(Manifest, MatchesItsGoldenFile) {
  ExpectGolden("checkpoint/golden/manifest_v2.golden", SerializeManifest(Sample()));
  const std::string golden = ReadGolden("checkpoint/golden/manifest_v2.golden");
  const Result<Manifest> read = Parse(golden);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(SerializeManifest(*read), golden);
}

TEST(Manifest, Version1IsReadWithoutWhatItDidNotSay) {
  const Result<Manifest> read = Parse(ReadGolden("checkpoint/golden/manifest_v1.golden"));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  Manifest expected = Sample();
  for (FileManifest& file : expected.files) file.key_id.clear();
  for (OperatorManifest& op : expected.operators) {
    for (SubtaskManifest& subtask : op.subtasks) {
      for (TableManifest& table : subtask.tables) {
        table.meta.partition_rows = table.meta.partition_bytes = 0;
        for (auto& chain : table.partitions) {
          for (PartitionRef& ref : chain) ref.codec.reset();
        }
      }
    }
  }
  EXPECT_EQ(SerializeManifest(*read), SerializeManifest(expected));
}

class SealedManifest : public testing::Test {
 protected:
  void SetUp() override {
    KeyRing::Process().Add("k1", *SecretKey::FromBytes(std::string(SecretKey::kBytes, '1')));
  }
  void TearDown() override { KeyRing::Process().Clear(); }
  std::string Sealed() {
    auto sealed = SealManifest(&env_, Sample(), "k1");
    EXPECT_TRUE(sealed.ok()) << sealed.status().ToString();
    return *sealed;
  }
  SimEnv env_{1};
};

TEST_F(SealedManifest, IsReadBackAndShowsNothing) {
  const std::string bytes = Sealed();
  EXPECT_EQ(bytes.size(), SerializeManifest(Sample()).size() + SealedManifestExtraBytes("k1"));
  for (const char* shown : {"flights", "total", "data-2", "part-0", "sum", "read"}) {
    EXPECT_EQ(bytes.find(shown), std::string::npos) << shown;
  }
  const Result<Manifest> read = Parse(bytes);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->key_id, "k1");
  EXPECT_EQ(read->file_bytes, bytes.size());
  EXPECT_EQ(SerializeManifest(*read), SerializeManifest(Sample()));
}

TEST_F(SealedManifest, GoldenFileIsRead) {
  const std::string golden = "checkpoint/golden/manifest_v2_encrypted.golden";
  WriteGoldenIfAsked(golden, Sealed());
  const Result<Manifest> read = Parse(ReadGolden(golden));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(SerializeManifest(*read), SerializeManifest(Sample()));
}

TEST_F(SealedManifest, EveryFlippedBitIsFound) {
  const std::string good = Sealed();
  std::string bytes = good;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(good[bit / 8] ^ (1 << (bit % 8)));
    const Result<Manifest> read = Parse(bytes);
    ASSERT_FALSE(read.ok()) << "bit " << bit;
    ASSERT_EQ(read.status().code(), StatusCode::kCorruption) << read.status().ToString();
    ASSERT_NE(read.status().message().find("offset"), std::string::npos);
    bytes[bit / 8] = good[bit / 8];
  }
}

// With checksums made right again, as whoever forges one would do.
TEST_F(SealedManifest, ForgedBodyIsRefused) {
  const std::string good = Sealed();
  const size_t end = good.size() - 20;
  for (size_t at = 32; at < end; ++at) {
    std::string bytes = good.substr(0, end);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    const Digest128 digest = Hash128(bytes);
    ByteWriter trailer;
    trailer.Fixed(digest.low);
    trailer.Fixed(digest.high);
    bytes += trailer.view();
    const uint32_t crc = Crc32c(0, bytes.data(), bytes.size());
    bytes.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
    ASSERT_FALSE(Parse(bytes).ok()) << at;
  }
}

TEST_F(SealedManifest, MissingAndWrongKeysAreNamed) {
  const std::string bytes = Sealed();
  KeyRing::Process().Clear();
  Status status = Parse(bytes).status();
  EXPECT_TRUE(IsKeyProblem(status)) << status.ToString();
  EXPECT_NE(status.message().find("'k1'"), std::string::npos) << status.message();
  KeyRing::Process().Add("k1", *SecretKey::FromBytes(std::string(SecretKey::kBytes, 'x')));
  status = Parse(bytes).status();
  EXPECT_TRUE(IsKeyProblem(status)) << status.ToString();
  EXPECT_NE(status.message().find("'k1'"), std::string::npos) << status.message();
}

TEST(Manifest, KnowsWhichOperatorsHaveState) {
  OperatorManifest op;
  op.subtasks.resize(2);
  EXPECT_FALSE(op.HasState());
  op.subtasks[1].operator_state = "x";
  EXPECT_TRUE(op.HasState());
  op.subtasks[1].operator_state.clear();
  op.splits.resize(1);
  EXPECT_TRUE(op.HasState());
}

TEST(Manifest, FindsEveryFlippedBitAndNamesFileAndOffset) {
  const std::string good = SerializeManifest(Sample());
  std::string bytes = good;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(good[bit / 8] ^ (1 << (bit % 8)));
    const Result<Manifest> read = Parse(bytes);
    ASSERT_FALSE(read.ok()) << "bit " << bit;
    ASSERT_EQ(read.status().code(), StatusCode::kCorruption) << read.status().ToString();
    ASSERT_NE(read.status().message().find(kFile), std::string::npos);
    ASSERT_NE(read.status().message().find("offset"), std::string::npos);
    bytes[bit / 8] = good[bit / 8];
  }
}

TEST(Manifest, FindsEveryTruncationAndEveryAddedByte) {
  const std::string good = SerializeManifest(Sample());
  for (size_t size = 0; size < good.size(); ++size) {
    const Result<Manifest> read = Parse(std::string_view(good).substr(0, size));
    ASSERT_FALSE(read.ok()) << size;
    ASSERT_EQ(read.status().code(), StatusCode::kCorruption) << read.status().ToString();
  }
  EXPECT_EQ(Parse(good + '\0').status().code(), StatusCode::kCorruption);
  EXPECT_EQ(Parse(good + good).status().code(), StatusCode::kCorruption);
}

TEST(Manifest, FindsEveryZeroedRange) {
  const std::string good = SerializeManifest(Sample());
  for (size_t start = 0; start < good.size(); start += 16) {
    std::string bytes = good;
    for (size_t i = start; i < std::min(start + 64, bytes.size()); ++i) bytes[i] = '\0';
    ASSERT_FALSE(Parse(bytes).ok()) << start;
  }
  EXPECT_EQ(Parse(std::string(good.size(), '\0')).status().code(), StatusCode::kCorruption);
}

TEST(Manifest, SaysWhatIsWrongWithAFileThatIsAllHeader) {
  std::string header = SerializeManifest(Sample()).substr(0, 32);
  EXPECT_NE(Parse(header).status().message().find("cut short"), std::string::npos);
  EXPECT_NE(Parse(header.substr(0, 31)).status().message().find("in its header"),
            std::string::npos);
  header[0] = 'x';
  EXPECT_NE(Parse(header).status().message().find("damaged magic"), std::string::npos);
}

TEST(Manifest, NumbersOf32BitsGoUpToTheLargest) {
  Manifest manifest = Sample();
  PartitionRef& ref = manifest.operators[1].subtasks[0].tables[0].partitions[0][0];
  ref.raw_bytes = std::numeric_limits<uint32_t>::max();
  const Result<Manifest> read = Parse(SerializeManifest(manifest));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->operators[1].subtasks[0].tables[0].partitions[0][0].raw_bytes, ref.raw_bytes);
}

TEST(Manifest, TellsForeignFilesFromDamagedOnes) {
  for (const std::string& foreign :
       {std::string("hello"), std::string("{\"a\": 1, \"and\": \"more than a header of json\"}"),
        std::string(100, '\xff')}) {
    const Result<Manifest> read = Parse(foreign);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.status().code(), StatusCode::kFailedPrecondition) << read.status().ToString();
    EXPECT_NE(read.status().message().find(kFile), std::string::npos);
  }
  EXPECT_EQ(Parse("").status().code(), StatusCode::kCorruption);
}

// As a later headrace would write it: header checksum right, the rest unknown to us.
TEST(Manifest, RefusesANewerVersionByNamingBoth) {
  std::string bytes = SerializeManifest(Sample());
  const uint32_t version = 7;
  std::memcpy(bytes.data() + 8, &version, 4);
  const uint32_t crc = Crc32c(0, bytes.data(), 28);
  std::memcpy(bytes.data() + 28, &crc, 4);
  const Result<Manifest> read = Parse(bytes + "with a longer trailer");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.status().code(), StatusCode::kUnimplemented);
  EXPECT_NE(read.status().message().find("version 7"), std::string::npos);
  EXPECT_NE(read.status().message().find("1"), std::string::npos);
}

// A well-sealed manifest with nonsense inside, as a bug or an attacker would make it.
void ExpectRefused(const Manifest& manifest, const std::string& what) {
  const Result<Manifest> read = Parse(SerializeManifest(manifest));
  ASSERT_FALSE(read.ok()) << what;
  EXPECT_EQ(read.status().code(), StatusCode::kCorruption) << read.status().ToString();
  EXPECT_NE(read.status().message().find(kFile), std::string::npos) << read.status().ToString();
}

TEST(Manifest, RefusesFileNamesThatLeadOutOfTheDirectory) {
  for (const char* name : {"", ".", "..", "../x", "/etc/passwd", ".hidden", "a//b", "a/../b"}) {
    Manifest manifest = Sample();
    manifest.files[0].name = name;
    ExpectRefused(manifest, name);
  }
}

TEST(Manifest, RefusesPartitionsOutsideTheirFile) {
  Manifest manifest = Sample();
  PartitionRef& ref = manifest.operators[1].subtasks[0].tables[0].partitions[0][1];
  const PartitionRef good = ref;
  ref.file = 2;
  ExpectRefused(manifest, "file index");
  ref = good;
  ref.offset = 49;
  ExpectRefused(manifest, "end of file");
  ref.offset = std::numeric_limits<uint64_t>::max();
  ExpectRefused(manifest, "overflow");
  ref = good;
  ref.stored_bytes = std::numeric_limits<uint32_t>::max();
  ExpectRefused(manifest, "length");
}

TEST(Manifest, RefusesChainsWithoutABase) {
  Manifest manifest = Sample();
  manifest.operators[1].subtasks[0].tables[0].partitions[0][0].whole = false;
  ExpectRefused(manifest, "chain");
}

TEST(Manifest, RefusesUnknownKindsAndNumbersOutOfRange) {
  Manifest manifest = Sample();
  manifest.kind = static_cast<CheckpointKind>(9);
  ExpectRefused(manifest, "kind");
  manifest = Sample();
  manifest.decision = 2;
  ExpectRefused(manifest, "decision");
  manifest = Sample();
  manifest.operators[1].subtasks[0].tables[0].meta.kind = static_cast<TableKind>(0);
  ExpectRefused(manifest, "table kind");
  manifest = Sample();
  manifest.operators[1].parallelism = 0;
  ExpectRefused(manifest, "parallelism");
  manifest = Sample();
  manifest.operators[1].max_parallelism = kMaxParallelismLimit + 1;
  ExpectRefused(manifest, "max parallelism");
  manifest = Sample();
  manifest.operators[1].subtasks[0].key_groups.last = kMaxParallelismLimit;
  ExpectRefused(manifest, "key group");
  manifest = Sample();
  manifest.operators[1].subtasks[0].index = -1;
  ExpectRefused(manifest, "index");
}

// Every byte of the body replaced by every value, under a right seal: never a crash, never a huge
// allocation, and what is accepted is consistent.
TEST(Manifest, SurvivesAnyByteInTheBodyUnderARightSeal) {
  const std::string good = SerializeManifest(Sample());
  const size_t end = good.size() - 20;
  int accepted = 0;
  for (size_t at = 32; at < end; ++at) {
    for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      ByteWriter sealed;
      std::string bytes = good.substr(0, end);
      bytes[at] = static_cast<char>(value);
      sealed.Raw(bytes);
      const Digest128 digest = Hash128(bytes);
      sealed.Fixed(digest.low);
      sealed.Fixed(digest.high);
      sealed.Fixed(Crc32c(0, sealed.view().data(), sealed.size()));
      const Result<Manifest> read = Parse(sealed.view());
      if (!read.ok()) continue;
      ++accepted;
      for (const OperatorManifest& op : read->operators) {
        for (const SubtaskManifest& subtask : op.subtasks) {
          for (const TableManifest& table : subtask.tables) {
            for (const auto& chain : table.partitions) {
              for (const PartitionRef& ref : chain) {
                ASSERT_LT(ref.file, read->files.size());
                ASSERT_LE(ref.offset + ref.stored_bytes, read->files[ref.file].size_bytes);
              }
            }
          }
        }
      }
    }
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace headrace
