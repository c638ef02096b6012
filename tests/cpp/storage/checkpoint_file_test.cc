#include "headrace/storage/checkpoint_file.h"

#include <gtest/gtest.h>

#include <vector>

#include "testing/failpoint_actions.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

constexpr CheckpointFileIdentity kIdentity{0x1122334455667788, 7, 3};
constexpr char kPath[] = "/job/data-7";

class CheckpointFileTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(files_.MakeDirectories("/job").ok()); }

  static std::string Payload(int i) {
    return "payload " + std::string(static_cast<size_t>(i) * 40, static_cast<char>('a' + i));
  }

  Status Write(const std::string& path, std::vector<BlockRef>* refs,
               CheckpointFileSummary* summary) {
    HR_ASSIGN_OR_RETURN(auto writer, CheckpointFileWriter::Create(files_, path, kIdentity));
    for (int i = 0; i < 4; ++i) {
      const auto kind = i == 0 ? BlockKind::kBase : BlockKind::kDelta;
      HR_ASSIGN_OR_RETURN(const BlockRef ref,
                          writer->Append({kind, CodecId::kZstd, 0}, Payload(i)));
      refs->push_back(ref);
    }
    HR_ASSIGN_OR_RETURN(*summary, writer->Finish());
    return Status::Ok();
  }

  SimEnv env_{1};
  SimFileSystem& files_ = env_.sim_files();
};

TEST_F(CheckpointFileTest, BlocksAreReadByReference) {
  std::vector<BlockRef> refs;
  CheckpointFileSummary summary;
  ASSERT_TRUE(Write(kPath, &refs, &summary).ok());
  const auto content = files_.ReadAll(kPath);
  ASSERT_TRUE(content.ok());
  EXPECT_EQ(summary.size_bytes, content->size());
  EXPECT_EQ(summary.digest, Hash128(*content));
  EXPECT_EQ(refs[0].offset, kCheckpointFileHeaderBytes);

  auto reader = CheckpointFileReader::Open(files_, kPath);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->identity(), kIdentity);
  EXPECT_TRUE((*reader)->ExpectIdentity(kIdentity).ok());
  for (int i = 3; i >= 0; --i) {
    const auto block = (*reader)->Read(refs[static_cast<size_t>(i)]);
    ASSERT_TRUE(block.ok()) << block.status().ToString();
    EXPECT_EQ(block->payload, Payload(i));
  }
  EXPECT_TRUE(VerifyCheckpointFile(files_, kPath, summary).ok());
}

TEST_F(CheckpointFileTest, FinishedFileSurvivesPowerLoss) {
  for (int round = 0; round < 50; ++round) {
    const std::string path = "/job/data-" + std::to_string(round);
    std::vector<BlockRef> refs;
    CheckpointFileSummary summary;
    ASSERT_TRUE(Write(path, &refs, &summary).ok());
    ASSERT_TRUE(files_.SyncDirectory("/job").ok());
    env_.Crash(CrashKind::kPowerLoss);
    ASSERT_TRUE(VerifyCheckpointFile(files_, path, summary).ok()) << round;
  }
}

TEST_F(CheckpointFileTest, EveryFlippedBitIsFoundWithTheOffsetOfItsBlock) {
  std::vector<BlockRef> refs;
  CheckpointFileSummary summary;
  ASSERT_TRUE(Write(kPath, &refs, &summary).ok());
  for (uint64_t bit = 0; bit < summary.size_bytes * 8; ++bit) {
    ASSERT_TRUE(files_.FlipBit(kPath, bit).ok());
    uint64_t offset = 0;
    for (const BlockRef& ref : refs) {
      if (bit / 8 >= ref.offset) offset = ref.offset;
    }
    const Status status = VerifyCheckpointFile(files_, kPath, summary);
    ASSERT_EQ(status.code(), StatusCode::kCorruption) << bit << " " << status.ToString();
    const std::string place = "file '/job/data-7', offset " + std::to_string(offset) + ": ";
    ASSERT_TRUE(status.message().starts_with(place)) << bit << " " << status.ToString();
    ASSERT_TRUE(files_.FlipBit(kPath, bit).ok());
  }
  EXPECT_TRUE(VerifyCheckpointFile(files_, kPath, summary).ok());
}

TEST_F(CheckpointFileTest, EveryTruncationIsFound) {
  std::vector<BlockRef> refs;
  CheckpointFileSummary summary;
  ASSERT_TRUE(Write(kPath, &refs, &summary).ok());
  for (uint64_t size = summary.size_bytes; size-- > 0;) {
    ASSERT_TRUE(files_.CutFile(kPath, size).ok());
    ASSERT_EQ(VerifyCheckpointFile(files_, kPath, summary).code(), StatusCode::kCorruption);
    auto reader = CheckpointFileReader::Open(files_, kPath);
    if (reader.ok()) {
      ASSERT_EQ((*reader)->Read(refs.back()).status().code(), StatusCode::kCorruption);
    }
  }
}

TEST_F(CheckpointFileTest, WholeBlockThatIsNotTheExpectedOneIsRefused) {
  std::vector<BlockRef> refs;
  CheckpointFileSummary summary;
  ASSERT_TRUE(Write(kPath, &refs, &summary).ok());
  auto reader = CheckpointFileReader::Open(files_, kPath);
  ASSERT_TRUE(reader.ok());
  BlockRef wrong = refs[1];
  wrong.digest = refs[2].digest;
  EXPECT_EQ((*reader)->Read(wrong).status().code(), StatusCode::kCorruption);
  wrong = refs[1];
  wrong.offset = UINT64_MAX - 4;
  EXPECT_EQ((*reader)->Read(wrong).status().code(), StatusCode::kCorruption);
  wrong = refs[1];
  wrong.block_bytes = UINT64_MAX;
  EXPECT_EQ((*reader)->Read(wrong).status().code(), StatusCode::kCorruption);
}

TEST_F(CheckpointFileTest, FileOfAnotherCheckpointIsRefused) {
  std::vector<BlockRef> refs;
  CheckpointFileSummary summary;
  ASSERT_TRUE(Write(kPath, &refs, &summary).ok());
  auto reader = CheckpointFileReader::Open(files_, kPath);
  ASSERT_TRUE(reader.ok());
  const Status status = (*reader)->ExpectIdentity({kIdentity.job_key_hash + 1, 8, 3});
  EXPECT_EQ(status.code(), StatusCode::kCorruption);
  EXPECT_NE(status.message().find("checkpoint 7 of run 3 of another job, expected 8 of run 3"),
            std::string::npos)
      << status.message();
}

TEST_F(CheckpointFileTest, FailureAtAnyCallIsToldAndStays) {
  uint64_t calls = 0;
  {
    ScopedFailpoints points;
    std::vector<BlockRef> refs;
    CheckpointFileSummary summary;
    ASSERT_TRUE(Write("/job/count", &refs, &summary).ok());
    calls = points.hits();
  }
  ASSERT_EQ(calls, 8u);  // create, header, 4 blocks, sync, close
  for (uint64_t k = 1; k <= calls; ++k) {
    ScopedFailpoints points;
    points.FailAt(k, Status::IoError("disk"));
    std::vector<BlockRef> refs;
    CheckpointFileSummary summary;
    EXPECT_EQ(Write("/job/fail-" + std::to_string(k), &refs, &summary).message(), "disk") << k;
  }
}

TEST_F(CheckpointFileTest, WriterRefusesEverythingAfterAFailure) {
  auto writer = CheckpointFileWriter::Create(files_, kPath, kIdentity);
  ASSERT_TRUE(writer.ok());
  {
    ScopedFailpoints points;
    points.FailAt(1, Status::IoError("disk"));
    EXPECT_FALSE((*writer)->Append({}, "x").ok());
  }
  EXPECT_EQ((*writer)->Append({}, "x").status().message(), "disk");
  EXPECT_EQ((*writer)->Finish().status().message(), "disk");
}

}  // namespace
}  // namespace headrace
