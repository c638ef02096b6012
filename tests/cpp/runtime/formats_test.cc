#include "golden_file.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/runtime/split_watermarks.h"
#include "runtime/job_test_graph.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out.push_back("0123456789abcdef"[static_cast<uint8_t>(c) >> 4]);
    out.push_back("0123456789abcdef"[c & 15]);
  }
  return out;
}

TEST(RuntimeFormats, SplitWatermarksAreTheGoldenFile) {
  WatermarkSpec spec;
  spec.kind = WatermarkSpec::Kind::kMonotonous;
  spec.stride_rows = 2;
  SplitWatermarks time(spec, false);
  ASSERT_TRUE(time.AddSplit("", false).ok());
  time.Start();
  const TimestampMs times[] = {1000, 2000, 3000};
  bool advanced = false;
  ASSERT_EQ(time.Observe(0, times, 3, &advanced), 2);
  ASSERT_EQ(time.Observe(0, times + 2, 1, &advanced), 1);
  ExpectGolden("runtime/golden/split_watermarks.bin", time.Snapshot(0));

  SplitWatermarks read(spec, false);
  ASSERT_TRUE(read.AddSplit(ReadGolden("runtime/golden/split_watermarks.bin"), false).ok());
  read.Start();
  EXPECT_EQ(read.watermark(), 1999);
}

// What the runtime itself adds to a checkpoint: event time of operators, ordinal and event time of
// splits.
TEST(RuntimeFormats, OperatorsAndSplitsOfACheckpointAreTheGoldenFile) {
  SimEnv env(1);
  JobTestGraph graph;
  TestSourceSpec rows;
  rows.splits = 2;
  const int source = graph.Source(rows);
  graph.graph.nodes[source].source_options.watermarks.kind = WatermarkSpec::Kind::kMonotonous;
  const int filter = graph.Add("filter", TestFilter(2, 0), {JobTestGraph::From(source)});
  const int key_by = graph.Add("key_by", TestKeyBy(1), {JobTestGraph::From(filter)});
  const int keyed =
      graph.Add("keyed", TestKeyed({}), {JobTestGraph::From(key_by, Partitioning::kHash)});
  graph.graph.nodes[keyed].keyed = true;
  graph.Add("sink", TestFileSink("/out"), {JobTestGraph::From(keyed)});
  JobOptions options;
  options.name = "golden";
  options.env = &env;
  options.checkpoint_directory = "/checkpoints";
  options.checkpoints.interval_ms = 60'000;
  auto job = graph.Create(options).value();
  while (job->Step()) {
    while (env.StepBackground()) {
    }
    env.clock().AdvanceNs(1'000'000);
  }
  ASSERT_TRUE(job->result().status.ok()) << job->result().status.ToString();

  std::string text;
  const auto jobs = env.files().List("/checkpoints").value();
  ASSERT_EQ(jobs.size(), 1u);
  const Result<Manifest> manifest =
      LoadManifest(env.files(), "/checkpoints/" + jobs[0], /*directory=*/nullptr);
  ASSERT_TRUE(manifest.ok()) << manifest.status().ToString();
  for (const OperatorManifest& op : manifest->operators) {
    for (const SplitSnapshot& split : op.splits) {
      text += op.name + " " + split.id + " at " + Hex(split.position) + " time " +
              Hex(split.watermark) + "\n";
    }
    for (const SubtaskManifest& subtask : op.subtasks) {
      text += op.name + " state " + Hex(subtask.operator_state) + "\n";
    }
  }
  ExpectGolden("runtime/golden/checkpoint_items.txt", text);
}

}  // namespace
}  // namespace headrace
