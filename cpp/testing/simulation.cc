#include "testing/simulation.h"

#include <algorithm>
#include <sstream>
#include <utility>
#include <vector>

#include "headrace/runtime/job.h"
#include "testing/sim_env.h"
#include "testing/simulated_job.h"

namespace headrace {

namespace {

constexpr int64_t kStepsMax = 2'000'000;
constexpr const char* kCheckpoints = "/checkpoints";

class Simulation {
 public:
  Simulation(uint64_t seed, bool unsynced_sink)
      : env_(seed), random_(seed ^ 0x5117a11e), job_(SimulatedJob::Random(&random_)) {
    job_.unsynced_sink = unsynced_sink;
  }

  SimulationOutcome Run() {
    const int crashes = static_cast<int>(random_.Below(6));
    for (int process = 0; outcome_.failure.empty(); ++process) {
      const bool last = process >= crashes;
      ++outcome_.processes;
      if (RunProcess(last)) break;
    }
    if (outcome_.failure.empty()) CheckOutput();
    outcome_.torn_writes = static_cast<int64_t>(env_.sim_files().torn_appends() +
                                                env_.sim_files().fault_counts().short_writes);
    return outcome_;
  }

 private:
  JobOptions Options(bool last) {
    JobOptions options;
    options.name = "simulated";
    options.env = &env_;
    options.checkpoint_directory = kCheckpoints;
    options.checkpoints.interval_ms = 2 + static_cast<int64_t>(random_.Below(30));
    options.checkpoints.timeout_ms = 30'000;
    options.checkpoints.tolerable_failures = static_cast<int>(random_.Below(3));
    options.restore_path = "latest";
    options.batch_rows = 1 + static_cast<int64_t>(random_.Below(64));
    options.channel_rows = 1 + static_cast<int64_t>(random_.Below(128));
    options.buffer_timeout_ms = static_cast<int64_t>(random_.Below(3)) * 10;
    options.restart.kind = RestartSpec::Kind::kFixedDelay;
    options.restart.attempts = last ? 0 : 20;
    options.restart.delay_ms = 10;
    return options;
  }

  // One life of the process; true when the job finished in it.
  bool RunProcess(bool last) {
    env_.sim_files().set_faults(FaultPlan());
    const int64_t newest = NewestCheckpoint();
    FaultPlan faults;
    if (!last) faults = FaultPlan::Uniform(random_.Below(2) == 0 ? 0 : 0.002);
    faults.slow_ns = 20'000'000;
    env_.sim_files().set_faults(faults);
    const int64_t kill_at = last ? kStepsMax : static_cast<int64_t>(random_.Below(2500));

    Result<JobGraph> graph = job_.Build(&random_, !last, random_.Below(4) != 0);
    if (!graph.ok()) return Fail("graph: " + graph.status().ToString());
    const std::vector<int> parallelism = KeyedParallelism(*graph->stream);
    Result<std::unique_ptr<Job>> job = Job::Create(std::move(*graph), Options(last));
    if (!job.ok()) {
      if (last) return Fail("create: " + job.status().ToString());
      Crash();
      return false;
    }
    CountRescale(newest, parallelism);
    const bool ended = StepUntil(job->get(), kill_at);
    if (!ended) {
      if (last) return Fail("the job does not finish");
      Crash();
      return false;  // `job` dies with its files dead already
    }
    const JobResult& result = (*job)->result();
    outcome_.restarts += static_cast<int>(result.recoveries.size());
    for (const std::string& message : result.messages) {
      outcome_.resumed += message.rfind("resumed", 0) == 0 ? 1 : 0;
    }
    for (const CheckpointRecord& record : result.checkpoints) {
      outcome_.checkpoints += record.completed ? 1 : 0;
    }
    if (result.status.ok()) return true;
    if (last) return Fail("job: " + result.status.ToString());
    if (result.status.code() != StatusCode::kIoError &&
        result.status.code() != StatusCode::kResourceExhausted) {
      return Fail("job failed for no injected reason: " + result.status.ToString());
    }
    Crash();
    return false;
  }

  bool StepUntil(Job* job, int64_t kill_at) {
    for (int64_t step = 0; step < kill_at; ++step) {
      ++outcome_.steps;
      if (!job->Step()) return true;
      Trace(static_cast<uint64_t>(env_.SteadyNs()));
      Trace(env_.sim_files().calls());
      if (env_.scheduling().Below(8) == 0) env_.StepBackground();
      const int64_t next_ns = job->NextStepNs();
      if (next_ns <= env_.SteadyNs()) {
        env_.clock().AdvanceNs(static_cast<int64_t>(env_.scheduling().Below(200'000)));
      } else if (env_.scheduling().Below(2) == 0 || !env_.StepBackground()) {
        env_.clock().AdvanceNs(next_ns - env_.SteadyNs());
      }
    }
    return false;
  }

  void Crash() {
    const bool kill = random_.Below(2) == 0;
    ++(kill ? outcome_.kills : outcome_.power_losses);
    env_.Crash(kill ? CrashKind::kProcessKill : CrashKind::kPowerLoss);
  }

  static std::vector<int> KeyedParallelism(const StreamGraph& graph) {
    std::vector<int> parallelism;
    for (const StreamNode& node : graph.nodes) {
      if (node.keyed) parallelism.push_back(node.parallelism);
    }
    return parallelism;
  }

  // 0 when there is none.
  int64_t NewestCheckpoint() {
    const std::string pattern = "chk-";
    int64_t newest = 0;
    const Result<std::vector<std::string>> jobs = env_.files().List(kCheckpoints);
    for (const std::string& job : jobs.ok() ? *jobs : std::vector<std::string>()) {
      const auto names = env_.files().List(std::string(kCheckpoints) + "/" + job);
      for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        if (!name.starts_with(pattern) || !name.ends_with(".manifest")) continue;
        newest = std::max<int64_t>(newest, std::stoll(name.substr(pattern.size())));
      }
    }
    return newest;
  }

  // A process writes checkpoints above the one it began with: so the last process that began below
  // this one wrote it.
  void CountRescale(int64_t checkpoint, const std::vector<int>& parallelism) {
    for (auto life = lives_.rbegin(); checkpoint > 0 && life != lives_.rend(); ++life) {
      if (life->began_with >= checkpoint) continue;
      outcome_.rescales += life->parallelism != parallelism ? 1 : 0;
      break;
    }
    lives_.push_back({checkpoint, parallelism});
  }

  void CheckOutput() {
    env_.sim_files().set_faults(FaultPlan());
    std::vector<std::string> lines;
    const Result<std::vector<std::string>> names = env_.files().List(job_.directory);
    if (names.ok()) {
      for (const std::string& name : *names) {
        if (name.rfind("part-", 0) != 0) continue;
        const Result<std::string> content = env_.files().ReadAll(job_.directory + "/" + name);
        if (!content.ok()) {
          Fail("output: " + content.status().ToString());
          return;
        }
        std::istringstream in(*content);
        for (std::string line; std::getline(in, line);) lines.push_back(line);
      }
    }
    std::sort(lines.begin(), lines.end());
    outcome_.rows_out = static_cast<int64_t>(lines.size());
    for (const std::string& line : lines) Trace(Hash64(line));
    for (const std::string& line : lines) outcome_.late_rows += TestRowOfLine(line).kind == 14;
    const std::vector<std::string> expected = job_.ExpectedLines(lines);
    if (lines == expected) return;
    std::vector<std::string> missing;
    std::vector<std::string> surplus;
    std::set_difference(expected.begin(), expected.end(), lines.begin(), lines.end(),
                        std::back_inserter(missing));
    std::set_difference(lines.begin(), lines.end(), expected.begin(), expected.end(),
                        std::back_inserter(surplus));
    Fail("output differs: " + std::to_string(missing.size()) + " rows missing, first '" +
         (missing.empty() ? "" : missing[0]) + "'; " + std::to_string(surplus.size()) +
         " too many, first '" + (surplus.empty() ? "" : surplus[0]) + "'");
  }

  bool Fail(std::string why) {
    outcome_.failure = std::move(why);
    return true;
  }
  void Trace(uint64_t value) { outcome_.trace_hash = MixInt64(outcome_.trace_hash ^ value); }

  SimEnv env_;
  SimRandom random_;
  SimulatedJob job_;
  SimulationOutcome outcome_;
  struct Life {
    int64_t began_with = 0;  // the newest checkpoint then
    std::vector<int> parallelism;
  };
  std::vector<Life> lives_;
};

}  // namespace

SimulationOutcome RunSimulation(uint64_t seed, bool unsynced_sink) {
  return Simulation(seed, unsynced_sink).Run();
}

std::string SimulationReplayCommand(uint64_t seed) {
  return "make sim SEEDS=1 START=" + std::to_string(seed);
}

}  // namespace headrace
