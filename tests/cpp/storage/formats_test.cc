// What files of this version look like, byte by byte; they stay readable for ever.
#include "golden_file.h"
#include "headrace/storage/block.h"
#include "headrace/storage/checkpoint_file.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

std::string Payload() {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "row " + std::to_string(i * i % 7) + ";";
  return text;
}

TEST(StorageFormats, CheckpointFileIsTheGoldenFile) {
  constexpr CheckpointFileIdentity kIdentity{0x1122334455667788, 7, 3};
  constexpr char kPath[] = "/job/data";
  SimEnv env(1);
  FileSystem& files = env.files();
  ASSERT_TRUE(files.MakeDirectories("/job").ok());
  auto writer = CheckpointFileWriter::Create(files, kPath, kIdentity).value();
  const BlockRef base = writer->Append({BlockKind::kBase, CodecId::kNone, 0}, Payload()).value();
  const BlockRef delta = writer->Append({BlockKind::kDelta, CodecId::kNone, 0}, "delta").value();
  ASSERT_TRUE(writer->Finish().ok());
  ExpectGolden("storage/golden/checkpoint_file.bin", files.ReadAll(kPath).value());

  auto file = files.Create("/job/golden").value();
  ASSERT_TRUE(file->Append(ReadGolden("storage/golden/checkpoint_file.bin")).ok());
  ASSERT_TRUE(file->Close().ok());
  auto reader = CheckpointFileReader::Open(files, "/job/golden").value();
  EXPECT_EQ(reader->identity(), kIdentity);
  EXPECT_EQ(reader->Read(base).value().payload, Payload());
  EXPECT_EQ(reader->Read(delta).value().payload, "delta");
}

// The compressed bytes are a matter of the library's version; that they can be read is ours.
TEST(StorageFormats, CompressedBlocksOfTheGoldenFilesAreRead) {
  for (const CodecId codec : {CodecId::kNone, CodecId::kLz4, CodecId::kSnappy, CodecId::kZstd}) {
    const std::string path = "storage/golden/block_" + std::string(CodecName(codec)) + ".bin";
    std::string bytes;
    ASSERT_TRUE(WriteBlock({BlockKind::kBase, codec, 0}, Payload(), &bytes).ok());
    WriteGoldenIfAsked(path, bytes);
    const std::string golden = ReadGolden(path);
    const Result<BlockHeader> header = ReadBlockHeader(golden, path, 0);
    ASSERT_TRUE(header.ok()) << header.status().ToString();
    EXPECT_EQ(header->codec, codec);
    const Result<Block> block = ReadBlock(golden, path, 0);
    ASSERT_TRUE(block.ok()) << block.status().ToString();
    EXPECT_EQ(block->payload, Payload());
  }
}

}  // namespace
}  // namespace headrace
