#include "testing/simulation.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "headrace/runtime/job.h"
#include "headrace/state/page_file_store.h"
#include "headrace/storage/safe_path.h"
#include "testing/memory_cold_store.h"
#include "testing/sim_env.h"
#include "testing/sim_inspection.h"
#include "testing/sim_remote_storage.h"
#include "testing/test_object_operators.h"

namespace headrace {

namespace {

constexpr int64_t kStepsMax = 2'000'000;
constexpr int64_t kNever = kStepsMax;
constexpr int64_t kFinishWithinNs = 600'000'000'000;
constexpr const char* kCheckpoints = "/checkpoints";
constexpr const char* kJobName = "simulated";
constexpr const char* kOutput = "/out";
constexpr const char* kScratch = "/scratch";
constexpr const char* kSavepoints = "/savepoints";

enum class Ending : uint8_t { kNone, kKill, kPowerLoss, kCancel, kStop, kSavepoint };

// How one process ends, unless the job finishes or fails before.
struct LifePlan {
  Ending ending = Ending::kNone;
  bool after_checkpoint = false;  // the steps count from the first checkpoint it completes
  int64_t steps = kNever;
  uint64_t calls = 0;  // after that, it dies at the file call of this number; 0 = at once
  bool jumps = false;  // of the clock
  int64_t savepoint_at = kNever;  // step at which one is asked for; the job goes on
};

class Simulation {
 public:
  Simulation(uint64_t seed, bool lying_disk, bool remote)
      : env_(seed),
        random_(seed ^ 0x5117a11e),
        savepoint_random_(seed ^ 0x5a7e5a7e),
        backend_random_(seed ^ 0xc01d),
        graph_(SimGraph::Random(&random_)) {
    files().set_ignores_syncs(lying_disk);
    files().set_on_append([this](const std::string& path) { Interleave(path); });
    constexpr double kOdds[] = {0, 0.5, 1};
    for (double& share : fault_shares_) share = kOdds[random_.Below(3)];
    if (remote) remote_ = std::make_unique<SimRemoteStorage>(seed);
  }

  SimulationOutcome Run() {
    const int deaths = 1 + static_cast<int>(random_.Below(5));
    for (int process = 0; outcome_.failure.empty(); ++process) {
      ++outcome_.processes;
      if (RunProcess(process >= deaths)) break;
      if (outcome_.failure.empty()) InspectDisk();
    }
    if (outcome_.failure.empty()) CheckOutput();
    CheckNoObjectIsLeft();
    outcome_.disk = files().fault_counts();
    if (remote_) outcome_.remote_faults = static_cast<int64_t>(remote_->faults());
    outcome_.torn_writes = static_cast<int64_t>(files().torn_appends());
    outcome_.lost_names = static_cast<int64_t>(files().lost_name_changes());
    return outcome_;
  }

 private:
  SimFileSystem& files() { return env_.sim_files(); }

  JobOptions Options(bool last) {
    JobOptions options;
    options.name = kJobName;
    options.env = &env_;
    options.checkpoint_directory = kCheckpoints;
    if (remote_) {
      options.checkpoint_directory = "/staging-" + std::to_string(outcome_.processes);
      options.checkpoint_transport = remote_->Connect(files());
    }
    options.checkpoints.interval_ms = 2 + static_cast<int64_t>(random_.Below(30));
    options.checkpoints.timeout_ms = 30'000;
    options.checkpoints.tolerable_failures = static_cast<int>(random_.Below(3));
    options.restore_path = resume_from_.empty() ? "latest" : resume_from_;
    options.batch_rows = 1 + static_cast<int64_t>(random_.Below(64));
    options.channel_rows = 1 + static_cast<int64_t>(random_.Below(128));
    options.buffer_timeout_ms = static_cast<int64_t>(random_.Below(3)) * 10;
    options.restart.kind = RestartSpec::Kind::kFixedDelay;
    options.restart.attempts = last ? 0 : 20;
    options.restart.delay_ms = 10;
    options.hooks = TestHostHooks(&objects_);
    ChooseBackend(&options);
    return options;
  }

  // A process of its own choice, so that checkpoints move between backends. As little as possible
  // stays in memory: what rows are there is decided anew after each element.
  void ChooseBackend(JobOptions* options) {
    const uint64_t choice = backend_random_.Below(5);
    if (choice < 3) return;  // they take several times as long as others
    if (choice == 3) options->cold_stores = cold_stores_;
    if (choice == 4) options->cold_stores = MakePageFileStoreFactory();
    options->scratch_directory = kScratch;
    options->row_cache_bytes = 0;
    ++outcome_.cold_processes;
  }

  FaultPlan DrawFaults() {
    constexpr double kRates[] = {0, 0.003, 0.02};
    const double rate = kRates[random_.Below(3)];
    FaultPlan plan;
    for (FaultOdds& odds : plan.odds) {
      odds.slow = rate * fault_shares_[0];
      odds.io_error = rate / 2 * fault_shares_[1];
      odds.no_space = rate / 2 * fault_shares_[2];
      odds.short_write = rate / 2 * fault_shares_[3];
    }
    // Often, because most flips hit what another check refuses.
    plan[FsCall::kRead].bit_flip = 2 * rate * fault_shares_[4];
    // Now and then so slow that checkpoints time out.
    plan.slow_ns = random_.Below(8) == 0 ? 31'000'000'000 : 20'000'000;
    return plan;
  }

  // By its own numbers: the rest of the run is the same with and without a remote storage.
  void DrawRemoteFaults(bool last) {
    if (!remote_) return;
    constexpr double kRates[] = {0, 0.01, 0.05, 0.2};
    remote_->set_fault_probability(last ? 0 : kRates[remote_->random().Below(4)]);
    remote_->set_list_lag(last ? 0 : remote_->random().Below(8));
    if (last) remote_->SettleLate();
  }

  // Brings what is stored remotely to where inspections look. A manifest that arrived after its
  // checkpoint had been given up and cleaned up is rubbish, which the next clean-up takes.
  void CopyRemoteNames() {
    if (!remote_) return;
    remote_->CopyTo(files(), job_directory_);
  }

  LifePlan DrawLife() {
    constexpr Ending kEndings[] = {Ending::kKill,      Ending::kKill,      Ending::kKill,
                                   Ending::kPowerLoss, Ending::kPowerLoss, Ending::kPowerLoss,
                                   Ending::kCancel,    Ending::kStop};
    LifePlan plan;
    plan.ending = kEndings[random_.Below(8)];
    plan.after_checkpoint = random_.Below(8) != 0;
    plan.steps = static_cast<int64_t>(random_.Below(plan.after_checkpoint ? 600 : 2500));
    const bool dies = plan.ending == Ending::kKill || plan.ending == Ending::kPowerLoss;
    if (dies && random_.Below(2) == 0) plan.calls = 1 + random_.Below(80);
    plan.jumps = random_.Below(2) == 0;
    // Drawn apart, so that they change no other choice.
    if (!dies && savepoint_random_.Below(2) == 0) plan.ending = Ending::kSavepoint;
    plan.savepoint_at = static_cast<int64_t>(savepoint_random_.Below(2000));
    return plan;
  }

  // One life of the process; true when the job finished in it, or something is wrong.
  bool RunProcess(bool last) {
    files().set_faults(FaultPlan());
    CopyRemoteNames();
    const int64_t newest = NewestCheckpoint(files(), job_directory_);
    const uint64_t flips_before = files().fault_counts().bit_flips;
    LifePlan plan;
    SimJobChoices choices;
    constexpr int kParallelism[] = {1, 2, 4, 8};
    choices.parallelism_max = kParallelism[random_.Below(4)];
    choices.chaining = random_.Below(4) != 0;
    if (!last) {
      plan = DrawLife();
      choices.failures = random_.Below(2) == 0;
      files().set_faults(DrawFaults());
    }
    DrawRemoteFaults(last);
    const int64_t began_ns = env_.SteadyNs();

    Result<SimJobGraph> made = MakeSimJobGraph(graph_, choices, kOutput, &random_, &objects_);
    if (!made.ok()) return Fail("job", "graph: " + made.status().ToString());
    job_graph_ = std::move(*made);
    JobGraph graph = job_graph_.graph;
    Result<std::unique_ptr<Job>> created = Job::Create(std::move(graph), Options(last));
    if (!created.ok()) {
      if (last || !Injected(created.status(), flips_before)) {
        return Fail("job", "create: " + created.status().ToString());
      }
      ++outcome_.failed_jobs;
      Crash(Ending::kKill);
      return false;
    }
    job_ = std::move(*created);
    const bool restored = newest > 0;
    // What the job writes from here on is newer.
    resume_from_.clear();
    outcome_.restores += restored ? 1 : 0;
    CountRescale(newest);
    const bool ended = Live(plan);
    if (restored) outcome_.rows_after_restore += RowsRead();
    const bool finished = AfterLife(plan, ended, last, flips_before);
    if (finished && last && env_.SteadyNs() - began_ns > kFinishWithinNs) {
      return Fail("end", "the job took more than ten minutes");
    }
    return finished;
  }

  // True when the job ended by itself.
  bool Live(const LifePlan& plan) {
    int64_t left = plan.steps;
    bool counting = !plan.after_checkpoint;
    for (int64_t step = 0; step < kStepsMax; ++step) {
      if (step % 16 == 0 && !counting) counting = CompletedOne();
      if (counting && left-- == 0) {
        if (plan.calls == 0) return false;
        files().DieAtCall(files().calls() + plan.calls);
      }
      if (files().dead()) return false;
      if (!StepOnce()) return !files().dead();
      if (step == plan.savepoint_at) {
        job_->RequestSavepoint(kSavepoints, SavepointStop::kNone);
      }
      if (plan.jumps && env_.scheduling().Below(200) == 0) JumpClock();
    }
    return false;
  }

  bool StepOnce() {
    ++outcome_.steps;
    if (!job_->Step()) return false;
    Trace(static_cast<uint64_t>(env_.SteadyNs()));
    Trace(files().calls());
    if (env_.scheduling().Below(8) == 0) StepBackground();
    const int64_t next_ns = job_->NextStepNs();
    // It ended while a snapshot was written; the next step says so.
    if (next_ns == std::numeric_limits<int64_t>::max()) return true;
    if (next_ns <= env_.SteadyNs()) {
      env_.clock().AdvanceNs(static_cast<int64_t>(env_.scheduling().Below(200'000)));
    } else if (env_.scheduling().Below(2) == 0 || !StepBackground()) {
      env_.clock().AdvanceNs(std::max<int64_t>(0, next_ns - env_.SteadyNs()));
    }
    return true;
  }

  bool StepBackground() {
    in_background_ = true;
    const bool stepped = env_.StepBackground();
    in_background_ = false;
    return stepped;
  }

  // While a snapshot is written, tasks go on.
  void Interleave(const std::string& path) {
    if (!in_background_ || path.find("/data-") == std::string::npos || !job_) return;
    in_background_ = false;
    for (uint64_t i = env_.scheduling().Below(4); i > 0 && job_->Step(); --i) {
    }
    in_background_ = true;
  }

  void JumpClock() {
    ++outcome_.clock_jumps;
    constexpr int64_t kMs[] = {1'000, 100'000, 3'600'000};
    const int64_t ms = kMs[env_.scheduling().Below(3)];
    if (env_.scheduling().Below(2) == 0) {
      env_.clock().AdvanceMs(ms);
    } else {
      env_.clock().JumpWallMs(env_.scheduling().Below(2) == 0 ? ms : -ms);
    }
  }

  bool CompletedOne() const {
    const std::vector<CheckpointRecord> records = job_->Checkpoints();
    return std::any_of(records.begin(), records.end(),
                       [](const CheckpointRecord& record) { return record.completed; });
  }

  int64_t RowsRead() const {
    int64_t rows = 0;
    for (const auto& [name, value] : job_->Metrics()) {
      if (name.ends_with(".rows_read")) rows += value;
    }
    return rows;
  }

  // Ends the process, however far it came; true when all is done, or something is wrong.
  bool AfterLife(const LifePlan& plan, bool ended, bool last, uint64_t flips_before) {
    for (const CheckpointRecord& record : job_->Checkpoints()) {
      outcome_.checkpoints += record.completed ? 1 : 0;
    }
    Ending ending = plan.ending;
    if (!ended && last) return Fail("end", "the job does not finish");
    if (!ended && ending == Ending::kCancel) {
      job_->Cancel();
      for (int64_t step = 0; step < kStepsMax && StepOnce(); ++step) {
      }
    }
    if (!ended && ending != Ending::kCancel && ending != Ending::kSavepoint) {
      Crash(ending);
      return false;
    }
    if (!ended && ending == Ending::kSavepoint) {
      if (!Suspend()) return !outcome_.failure.empty();
    }
    const JobResult result = job_->result();
    outcome_.restarts += static_cast<int>(result.recoveries.size());
    if (result.status.ok() && !resume_from_.empty() && !result.checkpoints.back().final) {
      ++outcome_.suspends;
      Crash(savepoint_random_.Below(2) == 0 ? Ending::kPowerLoss : Ending::kKill);
      return false;
    }
    if (result.status.ok()) {
      const std::string wrong = last ? Leftovers(result) : "";
      if (!wrong.empty()) return Fail("files", wrong);
      // What a finished job has committed survives anything.
      Crash(Ending::kPowerLoss);
      return true;
    }
    if (last) return Fail("job", result.status.ToString());
    const bool cancelled = !ended && result.status.code() == StatusCode::kCancelled;
    if (!cancelled && !Injected(result.status, flips_before)) {
      return Fail("job", "failed for no injected reason: " + result.status.ToString());
    }
    outcome_.failed_jobs += cancelled ? 0 : 1;
    Crash(cancelled ? Ending::kCancel : Ending::kKill);
    return false;
  }

  // Stops the job with a savepoint. False when it did not end by that: then its process is gone, or
  // something is wrong.
  bool Suspend() {
    const SavepointRequestPtr request =
        job_->RequestSavepoint(kSavepoints, SavepointStop::kSuspend);
    int64_t after = kStepsMax / 10;  // steps that the end may take
    for (int64_t step = 0; step < kStepsMax && !files().dead(); ++step) {
      if (request->resolved() && (!request->outcome().ok() || after-- == 0)) break;
      if (!StepOnce()) {
        if (request->resolved() && request->outcome().ok()) resume_from_ = *request->outcome();
        return true;
      }
    }
    if (!request->resolved()) {
      Fail("savepoint", "a stop with a savepoint has no outcome");
    } else if (request->outcome().ok()) {
      Fail("savepoint", "the job goes on behind its stop with a savepoint");
    } else {
      Crash(Ending::kKill);
    }
    return false;
  }

  bool Injected(const Status& status, uint64_t flips_before) {
    if (status.code() == StatusCode::kCorruption) {
      return files().fault_counts().bit_flips > flips_before;
    }
    // A dead process's marker or manifest may arrive late and be in the way.
    if (remote_ && remote_->faults() > 0 &&
        (status.code() == StatusCode::kAlreadyExists ||
         status.code() == StatusCode::kFailedPrecondition)) {
      return true;
    }
    return status.code() == StatusCode::kIoError || status.code() == StatusCode::kResourceExhausted;
  }

  void Crash(Ending ending) {
    if (ending == Ending::kStop) job_.reset();  // while its files are still there
    outcome_.kills += ending == Ending::kKill ? 1 : 0;
    outcome_.power_losses += ending == Ending::kPowerLoss ? 1 : 0;
    outcome_.cancels += ending == Ending::kCancel ? 1 : 0;
    outcome_.stops += ending == Ending::kStop ? 1 : 0;
    env_.Crash(ending == Ending::kPowerLoss ? CrashKind::kPowerLoss : CrashKind::kProcessKill);
    job_.reset();
    // What it did while it died does not count.
    env_.Crash(CrashKind::kProcessKill);
  }

  void InspectDisk() {
    files().set_faults(FaultPlan());
    CopyRemoteNames();
    std::string wrong = FindMissingFiles(files(), job_directory_);
    if (!wrong.empty()) {
      Fail("files", wrong);
      return;
    }
    wrong = CompareSnapshot(&env_, job_directory_, graph_, job_graph_);
    if (!wrong.empty()) Fail("snapshot", wrong);
    InspectSavepoints();
  }

  // Those that nobody looked at yet.
  void InspectSavepoints() {
    const Result<std::vector<std::string>> names = files().List(kSavepoints);
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
      const std::string directory = std::string(kSavepoints) + "/" + name;
      const Result<FileStatus> manifest = files().Stat(directory + "/" + kSavepointManifest);
      if (!manifest.ok() || !manifest->exists || !inspected_.insert(name).second) continue;
      ++outcome_.savepoints;
      const std::string wrong = CompareSnapshot(&env_, directory, graph_, job_graph_);
      if (!wrong.empty() && outcome_.failure.empty()) Fail("snapshot", name + ": " + wrong);
    }
  }

  // What a job that ended without faults should have cleaned up.
  std::string Leftovers(const JobResult& result) {
    if (result.checkpoints.size() < 2) return "";
    const Result<std::vector<std::string>> names = files().List(kOutput);
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
      if (name.starts_with(".")) return "file " + name + " is left over";
    }
    CopyRemoteNames();
    return FindOrphans(files(), job_directory_);
  }

  // A process writes checkpoints above the one it began with: so the last process that began below
  // this one wrote it.
  void CountRescale(int64_t checkpoint) {
    for (auto life = lives_.rbegin(); checkpoint > 0 && life != lives_.rend(); ++life) {
      if (life->began_with >= checkpoint) continue;
      outcome_.rescales += life->parallelism != job_graph_.parallelism ? 1 : 0;
      break;
    }
    lives_.push_back({checkpoint, job_graph_.parallelism});
  }

  void CheckOutput() {
    files().set_faults(FaultPlan());
    std::map<int, std::vector<std::string>> committed;
    for (const int sink : graph_.StepsOf(SimStep::Kind::kSink)) {
      if (!ReadSink(sink, &committed[sink])) return;
    }
    std::vector<TestRow> late;
    if (graph_.late_rows) {
      const int step = graph_.LateStep();
      for (const auto& [sink, lines] : committed) {
        if (graph_.steps[sink].inputs[0].step != step) continue;
        for (const std::string& line : lines) {
          TestRow row = TestRowOfLine(line);
          if (row.kind != step * 10 + 4) continue;
          row.kind = 0;  // as it came from its source
          late.push_back(row);
        }
      }
    }
    outcome_.late_rows = static_cast<int64_t>(late.size());
    const SimRows expected = EvaluateSimGraph(graph_, {}, late);
    for (const auto& [sink, lines] : committed) {
      std::vector<std::string> wanted;
      for (const TestRow& row : expected.at({sink, "", false})) wanted.push_back(TestRowLine(row));
      std::sort(wanted.begin(), wanted.end());
      if (!CompareLines(sink, lines, wanted)) return;
    }
  }

  // Lines of all files of the sink, sorted.
  bool ReadSink(int sink, std::vector<std::string>* lines) {
    const SimStep::Input& input = graph_.steps[sink].inputs[0];
    const bool counts = graph_.steps[input.step].kind == SimStep::Kind::kKeyed;
    const Result<std::vector<std::string>> names = files().List(kOutput);
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
      if (!name.starts_with(SimSinkPrefix(sink) + "-")) continue;
      const Result<std::string> content = files().ReadAll(std::string(kOutput) + "/" + name);
      if (!content.ok()) return !Fail("output", content.status().ToString());
      std::istringstream in(*content);
      std::map<int64_t, int64_t> last_count;  // of each key
      for (std::string line; std::getline(in, line);) {
        const TestRow row = TestRowOfLine(line);
        if (counts && row.kind == input.step * 10 + 1) {
          int64_t& last = last_count[row.key];
          if (row.x <= last) return !Fail("order", "counts of a key in file " + name);
          last = row.x;
        }
        lines->push_back(std::move(line));
      }
    }
    std::sort(lines->begin(), lines->end());
    outcome_.rows_out += static_cast<int64_t>(lines->size());
    for (const std::string& line : *lines) Trace(Hash64(line));
    return true;
  }

  bool CompareLines(int sink, const std::vector<std::string>& lines,
                    const std::vector<std::string>& expected) {
    if (lines == expected) return true;
    std::vector<std::string> missing;
    std::vector<std::string> surplus;
    std::set_difference(expected.begin(), expected.end(), lines.begin(), lines.end(),
                        std::back_inserter(missing));
    std::set_difference(lines.begin(), lines.end(), expected.begin(), expected.end(),
                        std::back_inserter(surplus));
    Fail("output", "of step " + std::to_string(sink) +
                       " differs: " + std::to_string(missing.size()) + " rows missing, first '" +
                       (missing.empty() ? "" : missing[0]) + "'; " +
                       std::to_string(surplus.size()) + " too many, first '" +
                       (surplus.empty() ? "" : surplus[0]) + "'");
    return false;
  }

  void CheckNoObjectIsLeft() {
    job_.reset();
    env_.Crash(CrashKind::kProcessKill);
    { const TestObjects::HostLock lock(&objects_); }
    if (outcome_.failure.empty() && objects_.live() != 0) {
      Fail("objects", std::to_string(objects_.live()) + " host objects are still alive");
    }
  }

  bool Fail(const std::string& invariant, const std::string& why) {
    outcome_.failure = invariant + ": " + why;
    return true;
  }
  void Trace(uint64_t value) { outcome_.trace_hash = MixInt64(outcome_.trace_hash ^ value); }

  const std::string job_directory_ = std::string(kCheckpoints) + "/" + SanitizeName(kJobName);
  std::unique_ptr<SimRemoteStorage> remote_;  // null: checkpoints stay on the disk
  TestObjects objects_;
  SimEnv env_;
  SimRandom random_;
  SimRandom savepoint_random_;
  SimRandom backend_random_;  // of its own: what else a seed does is the same on all backends
  const std::shared_ptr<MemoryColdStoreFactory> cold_stores_ =
      std::make_shared<MemoryColdStoreFactory>();
  const SimGraph graph_;
  double fault_shares_[5];
  SimulationOutcome outcome_;
  SimJobGraph job_graph_;     // of the running or last process
  std::unique_ptr<Job> job_;  // null between processes
  bool in_background_ = false;
  std::string resume_from_;  // the savepoint that stopped the last process; or ""
  std::set<std::string> inspected_;
  struct Life {
    int64_t began_with = 0;  // the newest checkpoint then
    std::vector<int> parallelism;
  };
  std::vector<Life> lives_;
};

}  // namespace

int64_t SimulationOutcome::faults() const {
  return static_cast<int64_t>(disk.total()) + kills + power_losses + torn_writes + lost_names +
         restarts + remote_faults;
}

SimulationOutcome RunSimulation(uint64_t seed, bool lying_disk, bool remote) {
  return Simulation(seed, lying_disk, remote).Run();
}

std::string SimulationReplayCommand(uint64_t seed, bool remote) {
  return std::string(remote ? "HEADRACE_SIM_REMOTE=1 " : "") +
         "make sim SEEDS=1 START=" + std::to_string(seed);
}

}  // namespace headrace
