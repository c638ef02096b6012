#include "recovery/small_job.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>

#include "headrace/base/failpoint.h"
#include "headrace/checkpoint/protocol.h"
#include "headrace/connectors/file_sink.h"
#include "headrace/storage/safe_path.h"
#include "testing/test_operators.h"
#include "testing/test_source.h"
#include "types/column_of.h"

namespace headrace {
namespace {

constexpr const char* kCheckpoints = "/checkpoints";
constexpr int64_t kStepsMax = 200'000;

TestSourceSpec SourceSpec() {
  TestSourceSpec spec;
  spec.seed = 7;
  spec.splits = 2;
  spec.rows_per_split = 300;
  spec.keys = 5;
  return spec;
}

TestKeyedSpec KeyedSpec() {
  TestKeyedSpec spec;
  spec.window_ms = 100;
  spec.count_every = 4;
  return spec;
}

SchemaPtr LineSchema() {
  static const SchemaPtr schema = std::make_shared<const Schema>(
      RecordShape::kScalar, std::vector<Field>{{"line", StringType(), true}});
  return schema;
}

class ToLines final : public Operator {
 public:
  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    std::vector<std::optional<std::string>> lines;
    for (int64_t i = 0; i < batch.num_rows; ++i) lines.push_back(TestRowLine(TestRowAt(batch, i)));
    RecordBatch made;
    made.schema = LineSchema();
    made.num_rows = batch.num_rows;
    made.columns = {Strings(lines)};
    out.Emit(std::move(made));
    return Progress::kDone;
  }
};

// Adds a node behind the last one.
StreamNode& Add(StreamGraph* graph, const std::string& kind, OperatorFactoryPtr op,
                Partitioning partitioning) {
  StreamNode node;
  node.id = static_cast<int>(graph->nodes.size());
  node.name = node.uid = node.kind = kind;
  node.op = std::move(op);
  node.output_schema = TestRowSchema();
  node.max_parallelism = 8;
  if (node.id > 0) {
    StreamEdge& edge = node.inputs.emplace_back();
    edge.from = node.id - 1;
    edge.partitioning = partitioning;
  }
  return graph->nodes.emplace_back(std::move(node));
}

Result<JobGraph> Build() {
  StreamGraph graph;
  StreamNode& source = Add(&graph, "source", nullptr, Partitioning::kForward);
  source.source = TestSource(SourceSpec());
  source.source_options.watermarks.kind = WatermarkSpec::Kind::kBoundedOutOfOrderness;
  source.source_options.watermarks.stride_rows = 8;
  Add(&graph, "key_by", TestKeyBy(KeyedSpec().key_column), Partitioning::kForward);
  StreamNode& keyed = Add(&graph, "keyed", TestKeyed(KeyedSpec()), Partitioning::kHash);
  keyed.keyed = true;
  keyed.parallelism = 2;
  StreamNode& lines =
      Add(&graph, "lines", NativeOperator([](int) -> Result<std::unique_ptr<Operator>> {
        return std::unique_ptr<Operator>(std::make_unique<ToLines>());
      }),
          Partitioning::kRebalance);
  lines.output_schema = LineSchema();
  FileSinkSpec sink;
  sink.directory = SmallJob::kOutput;
  Add(&graph, "sink", FileSink(sink), Partitioning::kForward).output_schema = LineSchema();
  return BuildJobGraph(std::move(graph), /*chaining=*/true);
}

}  // namespace

SmallJob::SmallJob(uint64_t seed, std::string job_key)
    : env(seed),
      job_key_(std::move(job_key)),
      directory_(std::string(kCheckpoints) + "/" + SanitizeName(job_key_)) {}

Result<std::unique_ptr<Job>> SmallJob::Start(const std::string& path) {
  HR_ASSIGN_OR_RETURN(JobGraph graph, Build());
  JobOptions options;
  options.name = job_key_;
  options.env = &env;
  options.checkpoint_directory = kCheckpoints;
  options.checkpoints.interval_ms = 3;
  options.checkpoints.timeout_ms = 30'000;
  options.checkpoints.tolerable_failures = tolerable_failures;
  options.restore_path = path;
  options.batch_rows = 4;
  options.channel_rows = 16;
  options.buffer_timeout_ms = 0;
  options.state_memory_budget_bytes = 1 << 30;
  options.restart.kind =
      restart_attempts > 0 ? RestartSpec::Kind::kFixedDelay : RestartSpec::Kind::kNone;
  options.restart.attempts = restart_attempts;
  options.restart.delay_ms = 10;
  return Job::Create(std::move(graph), std::move(options));
}

bool SmallJob::Run(Job* job, const std::function<bool()>& stop) {
  for (int64_t step = 0; step < kStepsMax; ++step) {
    if (stop && stop()) return false;
    if (!job->Step()) return true;
    if (env.scheduling().Below(4) == 0) env.StepBackground();
    const int64_t next_ns = job->NextStepNs();
    if (next_ns <= env.SteadyNs()) {
      env.clock().AdvanceNs(static_cast<int64_t>(env.scheduling().Below(200'000)));
    } else if (!env.StepBackground()) {
      env.clock().AdvanceNs(next_ns - env.SteadyNs());
    }
  }
  return false;
}

Status SmallJob::Finish(Job* job) {
  if (!Run(job)) return Status::Internal("the job does not end");
  return job->result().status;
}

SmallJob::Progress SmallJob::ProgressOf(const Job& job) {
  Progress progress;
  for (const CheckpointRecord& record : job.Checkpoints()) {
    if (record.completed) progress.completed = std::max(progress.completed, record.id);
  }
  const auto names = env.files().List(directory_);
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    const StoredName stored = ParseStoredName(name);
    if (stored.kind == StoredName::Kind::kManifest) {
      progress.visible = std::max(progress.visible, stored.checkpoint);
    }
  }
  return progress;
}

CheckpointId SmallJob::ResumedFrom(const Job& job) {
  for (const std::string& message : job.result().messages) {
    for (const std::string before : {"resumed from checkpoint ", "had finished with checkpoint "}) {
      const size_t at = message.find(before);
      if (at != std::string::npos) return std::stoull(message.substr(at + before.size()));
    }
  }
  return 0;
}

std::map<std::string, std::string> SmallJob::Output() {
  std::map<std::string, std::string> output;
  const auto names = env.files().List(kOutput);
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    if (name.front() == '.') continue;
    output[name] = env.files().ReadAll(std::string(kOutput) + "/" + name).value();
  }
  return output;
}

std::vector<std::string> SmallJob::OutputLines() {
  std::vector<std::string> lines;
  for (const auto& [name, content] : Output()) {
    std::istringstream in(content);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::vector<std::string> SmallJob::ExpectedLines() const {
  const TestSourceSpec source = SourceSpec();
  std::vector<TestRow> rows;
  for (int split = 0; split < source.splits; ++split) {
    for (int64_t i = 0; i < source.rows_per_split; ++i) {
      rows.push_back(TestSourceRow(source, split, i));
    }
  }
  std::vector<std::string> lines;
  for (const TestRow& row : TestKeyedOracle(KeyedSpec(), rows)) lines.push_back(TestRowLine(row));
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::string SmallJob::ManifestPath(CheckpointId id) const {
  return directory_ + "/" + ManifestName(id);
}

FileCallWatch::FileCallWatch(OnCall on_call) : on_call_(std::move(on_call)) {
  SetFailpointAction([this](std::string_view name, std::string_view path) {
    if (!name.starts_with("fs.")) return Status::Ok();
    return on_call_(++calls_, name, path);
  });
}

FileCallWatch::~FileCallWatch() { SetFailpointAction(nullptr); }

bool ChangesFiles(std::string_view call) {
  return call != "fs.open" && call != "fs.read" && call != "fs.list" && call != "fs.stat" &&
         call != "fs.close";
}

}  // namespace headrace
