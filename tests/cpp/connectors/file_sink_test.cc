#include "headrace/connectors/file_sink.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "headrace/base/failpoint.h"
#include "headrace/connectors/part_name.h"
#include "headrace/storage/pending_rename.h"
#include "testing/operator_harness.h"
#include "testing/sim_env.h"
#include "types/column_of.h"

namespace headrace {
namespace {

constexpr char kDirectory[] = "/out/lines";

RecordBatch Lines(const std::vector<std::optional<std::string>>& lines) {
  RecordBatch batch;
  batch.schema = std::make_shared<const Schema>(RecordShape::kScalar,
                                                std::vector<Field>{{"value", StringType(), true}});
  batch.num_rows = static_cast<int64_t>(lines.size());
  batch.columns = {Strings(lines)};
  return batch;
}

OperatorHarness::Options On(Env* env) {
  OperatorHarness::Options options;
  options.keyed = false;
  options.env = env;
  return options;
}

FileSinkSpec Spec() {
  FileSinkSpec spec;
  spec.directory = kDirectory;
  spec.suffix = ".txt";
  return spec;
}

std::vector<std::string> Names(Env* env, bool hidden) {
  std::vector<std::string> names;
  auto listed = env->files().List(kDirectory);
  if (!listed.ok()) return names;
  for (const std::string& name : *listed) {
    if ((name[0] == '.') == hidden) names.push_back(name);
  }
  return names;
}

/// All visible lines, in the order of part counters within a subtask.
std::vector<std::string> VisibleLines(Env* env) {
  std::vector<std::string> lines;
  for (const std::string& name : Names(env, false)) {
    std::string content = env->files().ReadAll(std::string(kDirectory) + "/" + name).value();
    for (size_t at = 0; at < content.size();) {
      const size_t end = content.find('\n', at);
      lines.push_back(content.substr(at, end - at));
      at = end + 1;
    }
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

TEST(FileSink, ShowsLinesOnlyOncePublished) {
  SimEnv env(1);
  OperatorHarness harness(FileSink(Spec()), On(&env));
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(Lines({"a", std::nullopt, "c"})).ok());
  ASSERT_TRUE(harness.Snapshot().ok());
  EXPECT_TRUE(Names(&env, false).empty());
  ASSERT_EQ(harness.renames().size(), 1u);
  EXPECT_EQ(harness.renames()[0].size_bytes, 9u);
  EXPECT_EQ(harness.renames()[0].digest, Hash128("a\nNone\nc\n"));
  ASSERT_TRUE(PublishAll(env.files(), harness.renames()).ok());
  ASSERT_TRUE(harness.CompleteCheckpoint().ok());
  EXPECT_EQ(VisibleLines(&env), (std::vector<std::string>{"None", "a", "c"}));
  EXPECT_TRUE(Names(&env, true).empty());
  // Nothing new: nothing to publish.
  ASSERT_TRUE(harness.Snapshot().ok());
  EXPECT_TRUE(harness.renames().empty());
}

TEST(FileSink, ReportsPartsOfAnAbandonedCheckpointAgain) {
  SimEnv env(1);
  OperatorHarness harness(FileSink(Spec()), On(&env));
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(Lines({"a"})).ok());
  ASSERT_TRUE(harness.Snapshot().ok());
  ASSERT_TRUE(harness.Process(Lines({"b"})).ok());
  ASSERT_TRUE(harness.Snapshot().ok());
  EXPECT_EQ(harness.renames().size(), 2u);
  ASSERT_TRUE(harness.CompleteCheckpoint().ok());
  ASSERT_TRUE(harness.Process(Lines({"c"})).ok());
  ASSERT_TRUE(harness.Finish().ok());
  EXPECT_EQ(harness.renames().size(), 1u);
}

TEST(FileSink, RollsAtTheSizeAndAgeLimits) {
  SimEnv env(1);
  FileSinkSpec spec = Spec();
  spec.part_bytes_max = 4;
  spec.part_age_max_ms = 1000;
  OperatorHarness harness(FileSink(spec), On(&env));
  ASSERT_TRUE(harness.Open().ok());
  EXPECT_EQ(harness.op().NextProcessingTime(), kMaxWatermark);
  ASSERT_TRUE(harness.Process(Lines({"a", "b", "c"})).ok());
  const int64_t due = env.NowMs() + 1000;
  EXPECT_EQ(harness.op().NextProcessingTime(), due);
  ASSERT_TRUE(harness.ProcessingTime(due).ok());
  ASSERT_TRUE(harness.Process(Lines({"d"})).ok());
  ASSERT_TRUE(harness.Snapshot().ok());
  ASSERT_EQ(harness.renames().size(), 3u);
  EXPECT_EQ(harness.renames()[0].size_bytes, 4u);
  ASSERT_TRUE(PublishAll(env.files(), harness.renames()).ok());
  EXPECT_EQ(VisibleLines(&env), (std::vector<std::string>{"a", "b", "c", "d"}));
}

TEST(FileSink, RemovesLeftoversOfItsOwnOnly) {
  SimEnv env(1);
  ASSERT_TRUE(env.files().MakeDirectories(kDirectory).ok());
  const auto touch = [&](const std::string& name) {
    auto file = env.files().Create(std::string(kDirectory) + "/" + name).value();
    ASSERT_TRUE(file->Close().ok());
  };
  touch(".part-notes.inprogress");
  touch("part-00000000-1-0-0.txt");
  std::string own;
  {
    OperatorHarness crashed(FileSink(Spec()), On(&env));
    ASSERT_TRUE(crashed.Open().ok());
    ASSERT_TRUE(crashed.Process(Lines({"a"})).ok());
    own = Names(&env, true)[0];
    env.Crash(CrashKind::kProcessKill);
    // A dead process removes nothing any more.
    SetFailpointAction([](std::string_view, std::string_view) { return Status::IoError("dead"); });
  }
  SetFailpointAction({});
  auto other = On(&env);
  other.uid = "another-operator";
  OperatorHarness foreign(FileSink(Spec()), other);
  ASSERT_TRUE(foreign.Open().ok());
  EXPECT_EQ(Names(&env, true).size(), 2u) << own;
  OperatorHarness again(FileSink(Spec()), On(&env));
  ASSERT_TRUE(again.Open().ok());
  EXPECT_EQ(Names(&env, true), (std::vector<std::string>{".part-notes.inprogress"}));
  EXPECT_EQ(Names(&env, false), (std::vector<std::string>{"part-00000000-1-0-0.txt"}));
}

TEST(FileSink, NamesThePathWhenTheDiskFails) {
  SimEnv env(1);
  OperatorHarness harness(FileSink(Spec()), On(&env));
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(Lines({"a"})).ok());
  env.sim_files().set_capacity_bytes(0);
  const Status status = harness.Snapshot();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find(std::string(kDirectory) + "/.part-"), std::string::npos);
}

/// A run of the protocol around a sink: numbered lines, a checkpoint every few, crash at file call
/// `crash_at`, then restore from the last decided checkpoint and on to the end.
class CrashingRun {
 public:
  CrashingRun(uint64_t seed, uint64_t crash_at, CrashKind kind)
      : env_(seed), crash_at_(crash_at), kind_(kind) {}

  /// Returns the number of file calls that the first attempt made.
  uint64_t Run() {
    Arm();
    const bool finished = Attempt();
    SetFailpointAction({});
    const uint64_t calls = calls_;
    if (!finished) {
      env_.Crash(kind_);
      EXPECT_TRUE(Attempt());
    }
    return calls;
  }
  std::vector<std::string> lines() { return VisibleLines(&env_); }
  std::vector<std::string> hidden() { return Names(&env_, true); }

 private:
  static constexpr int kLines = 12;

  void Arm() {
    SetFailpointAction([this](std::string_view, std::string_view) {
      return ++calls_ >= crash_at_ ? Status::IoError("crashed") : Status::Ok();
    });
  }

  /// False when the crash came in between.
  bool Attempt() {
    // What a restore does first: the decided checkpoint's names appear.
    if (!PublishAll(env_.files(), decided_.renames).ok()) return false;
    OperatorState state;
    if (decided_.line > 0) state = decided_.state;
    auto op = FileSink(Spec())->Make(0).value();
    OperatorContext context;
    context.uid = "sink";
    context.env = &env_;
    context.operator_state = &state;
    if (!op->Open(context).ok()) return false;
    NoOutput out;
    for (int line = decided_.line; line < kLines; ++line) {
      const std::string text = "line-" + std::to_string(100 + line);
      if (!op->Process(Lines({text}), 0, out).ok()) return false;
      const bool last = line + 1 == kLines;
      if (last && !op->Finish(out).ok()) return false;
      if (line % 3 == 2 || last) {
        if (!Checkpoint(op.get(), line + 1)) return false;
      }
    }
    return op->Close().ok();
  }

  bool Checkpoint(Operator* op, int line) {
    Decided next;
    next.line = line;
    if (!op->Snapshot(++checkpoint_id_, &next.state).ok()) return false;
    next.renames = op->TakePendingRenames();
    // The manifest: a file of its own in the run, so that a crash can fall before or after the
    // decision.
    if (!Failpoint("fs.manifest").ok()) return false;
    decided_ = next;
    if (!PublishAll(env_.files(), decided_.renames).ok()) return false;
    return op->OnCheckpointComplete(checkpoint_id_).ok();
  }

  class NoOutput final : public Output {
   public:
    int64_t RoomRows() const override { return 1; }
    void Emit(RecordBatch) override {}
    void EmitSide(const std::string&, RecordBatch) override {}
    bool HasSideReader(const std::string&) const override { return false; }
  };
  struct Decided {
    int line = 0;
    OperatorState state;
    std::vector<PendingRename> renames;
  };

  SimEnv env_;
  const uint64_t crash_at_;
  const CrashKind kind_;
  uint64_t calls_ = 0;
  uint64_t checkpoint_id_ = 0;
  Decided decided_;
};

TEST(FileSink, ShowsEachLineOnceWhereverItCrashes) {
  std::vector<std::string> expected;
  for (int line = 0; line < 12; ++line) expected.push_back("line-" + std::to_string(100 + line));
  CrashingRun whole(1, UINT64_MAX, CrashKind::kProcessKill);
  const uint64_t calls = whole.Run();
  EXPECT_EQ(whole.lines(), expected);
  ASSERT_GT(calls, 40u);
  for (const CrashKind kind : {CrashKind::kProcessKill, CrashKind::kPowerLoss}) {
    for (uint64_t crash_at = 1; crash_at <= calls; ++crash_at) {
      SCOPED_TRACE("crash at file call " + std::to_string(crash_at));
      CrashingRun run(crash_at, crash_at, kind);
      run.Run();
      ASSERT_EQ(run.lines(), expected);
      ASSERT_TRUE(run.hidden().empty());
    }
  }
}

TEST(FileSinkSpec, NamesWhatIsWrong) {
  FileSinkSpec spec = Spec();
  spec.directory = "relative";
  EXPECT_NE(ValidateFileSink(spec).message().find("'relative'"), std::string::npos);
  spec = Spec();
  spec.prefix = "a/b";
  EXPECT_FALSE(ValidateFileSink(spec).ok());
  spec = Spec();
  spec.part_bytes_max = 0;
  EXPECT_FALSE(ValidateFileSink(spec).ok());
}

TEST(PartName, ReadsOnlyWhatItWrites) {
  PartName name;
  name.prefix = "part";
  name.owner = 0xabcdef01;
  name.run = 7;
  name.checkpoint_id = 3;
  name.subtask = 12;
  name.counter = 99;
  name.suffix = ".csv";
  EXPECT_EQ(name.Final(), "part-00000007-3-12-99.csv");
  EXPECT_EQ(name.Temporary(), ".part-abcdef01-00000007-3-12-99.inprogress");
  int subtask = -1;
  EXPECT_TRUE(PartName::ParseTemporary(name.Temporary(), "part", 0xabcdef01, &subtask));
  EXPECT_EQ(subtask, 12);
  EXPECT_FALSE(PartName::ParseTemporary(name.Temporary(), "part", 1, &subtask));
  EXPECT_FALSE(PartName::ParseTemporary(name.Temporary(), "other", 0xabcdef01, &subtask));
  EXPECT_FALSE(PartName::ParseTemporary(name.Final(), "part", 0xabcdef01, &subtask));
  EXPECT_FALSE(PartName::ParseTemporary(".part-abcdef01-00000007-3-x-99.inprogress", "part",
                                        0xabcdef01, &subtask));
  EXPECT_FALSE(
      PartName::ParseTemporary(".part-abcdef01-.inprogress", "part", 0xabcdef01, &subtask));
}

}  // namespace
}  // namespace headrace
