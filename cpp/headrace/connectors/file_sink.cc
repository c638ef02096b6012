#include "headrace/connectors/file_sink.h"

#include <algorithm>
#include <set>

#include "headrace/base/check.h"
#include "headrace/base/hash.h"
#include "headrace/connectors/part_name.h"
#include "headrace/storage/digesting_file.h"

namespace headrace {
namespace {

constexpr char kStateName[] = "file-sink";

class FileSinkOperator final : public Operator {
 public:
  explicit FileSinkOperator(FileSinkSpec spec) : spec_(std::move(spec)) {}

  Status Open(const OperatorContext& context) override {
    HR_RETURN_IF_ERROR(Operator::Open(context));
    name_.prefix = spec_.prefix;
    name_.suffix = spec_.suffix;
    name_.owner =
        static_cast<uint32_t>(Hash64(context.job_key + std::string(1, '\0') + context.uid));
    name_.run = static_cast<uint32_t>(context.env->Random64());
    name_.subtask = context.subtask_index;
    std::set<std::string> pending;
    if (context.operator_state) HR_RETURN_IF_ERROR(Restore(*context.operator_state, &pending));
    HR_RETURN_IF_ERROR(files()
                           .MakeDirectories(spec_.directory)
                           .WithContext("making directory '" + spec_.directory + "'"));
    return RemoveLeftovers(pending);
  }

  Result<Progress> Process(const RecordBatch& batch, int, Output&) override {
    if (batch.num_rows == 0) return Progress::kDone;
    const Column& lines = *batch.columns[0];
    HR_CHECK(lines.type->kind() == TypeKind::kString);
    for (int64_t row = 0; row < batch.num_rows; ++row) {
      if (!part_) HR_RETURN_IF_ERROR(StartPart());
      HR_RETURN_IF_ERROR(part_->Append(lines.IsNull(row) ? "None" : lines.StringAt(row)));
      HR_RETURN_IF_ERROR(part_->Append("\n"));
      if (part_->size_bytes() >= static_cast<uint64_t>(spec_.part_bytes_max)) {
        HR_RETURN_IF_ERROR(EndPart());
      }
    }
    return Progress::kDone;
  }

  TimestampMs NextProcessingTime() override {
    return part_ && spec_.part_age_max_ms > 0 ? part_started_ms_ + spec_.part_age_max_ms
                                              : kMaxWatermark;
  }
  Result<Progress> OnProcessingTime(TimestampMs now, Output&) override {
    if (now >= NextProcessingTime()) HR_RETURN_IF_ERROR(EndPart());
    return Progress::kDone;
  }

  Result<Progress> Finish(Output&) override {
    HR_RETURN_IF_ERROR(EndPart());
    HR_RETURN_IF_ERROR(SyncNames());
    return Progress::kDone;
  }

  // The item of operator state; string = varint length and the bytes:
  //
  //   varint   counter of the next part
  //   varint   parts that wait to be published; for each: string temporary path
  Status Snapshot(uint64_t checkpoint_id, OperatorState* state) override {
    HR_RETURN_IF_ERROR(EndPart());
    // Before the manifest may list the temporaries, their names must survive power loss.
    HR_RETURN_IF_ERROR(SyncNames());
    name_.checkpoint_id = checkpoint_id;
    ByteWriter item;
    item.Varint(name_.counter);
    item.Varint(pending_.size());
    for (Pending& part : pending_) {
      if (part.checkpoint_id == 0) part.checkpoint_id = checkpoint_id;
      item.String(part.rename.temporary_path);
    }
    state->Set(kStateName, Redistribution::kUnion, {item.Take()});
    return Status::Ok();
  }

  std::vector<PendingRename> TakePendingRenames() override {
    std::vector<PendingRename> renames;
    for (const Pending& part : pending_) renames.push_back(part.rename);
    return renames;
  }

  Status OnCheckpointComplete(uint64_t checkpoint_id) override {
    std::erase_if(pending_, [checkpoint_id](const Pending& part) {
      return part.checkpoint_id != 0 && part.checkpoint_id <= checkpoint_id;
    });
    return Status::Ok();
  }

  Status Close() override {
    if (!part_) return Status::Ok();
    // Cut off in the middle: no checkpoint can list this part.
    const std::string path = part_->path();
    part_.reset();
    return files().Remove(path).WithContext("removing '" + path + "'");
  }

 private:
  struct Pending {
    PendingRename rename;
    uint64_t checkpoint_id = 0;  // first one that lists it, 0 = none yet
  };

  FileSystem& files() { return context_.env->files(); }
  std::string PathOf(const std::string& name) const { return spec_.directory + "/" + name; }

  Status Restore(const OperatorState& state, std::set<std::string>* pending) {
    for (const std::string& item : state.Items(kStateName)) {
      ByteReader in(item);
      uint64_t counter = 0;
      uint64_t count = 0;
      HR_RETURN_IF_ERROR(in.Varint(&counter));
      HR_RETURN_IF_ERROR(in.Count(1, &count));
      name_.counter = std::max(name_.counter, counter);
      for (uint64_t i = 0; i < count; ++i) {
        std::string_view path;
        HR_RETURN_IF_ERROR(in.String(&path));
        pending->emplace(path);
      }
      HR_RETURN_IF_ERROR(in.ExpectDone());
    }
    return Status::Ok();
  }

  Status RemoveLeftovers(const std::set<std::string>& pending) {
    auto names = files().List(spec_.directory);
    if (!names.ok()) return names.status().WithContext("listing '" + spec_.directory + "'");
    for (const std::string& name : *names) {
      int subtask = 0;
      if (!PartName::ParseTemporary(name, spec_.prefix, name_.owner, &subtask)) continue;
      // Each leftover has one subtask that removes it, never one that may be writing it.
      if (subtask % context_.parallelism != context_.subtask_index) continue;
      const std::string path = PathOf(name);
      if (pending.count(path) > 0) continue;
      const Status removed = files().Remove(path);
      if (!removed.ok() && removed.code() != StatusCode::kNotFound) {
        return removed.WithContext("removing '" + path + "'");
      }
    }
    return Status::Ok();
  }

  Status StartPart() {
    part_name_ = name_;
    ++name_.counter;
    HR_ASSIGN_OR_RETURN(part_, DigestingFile::Create(files(), PathOf(part_name_.Temporary())));
    part_started_ms_ = context_.env->NowMs();
    return Status::Ok();
  }

  Status EndPart() {
    if (!part_) return Status::Ok();
    HR_RETURN_IF_ERROR(part_->SyncAndClose());
    Pending done;
    done.rename.temporary_path = part_->path();
    done.rename.final_path = PathOf(part_name_.Final());
    done.rename.size_bytes = part_->size_bytes();
    done.rename.digest = part_->digest();
    pending_.push_back(std::move(done));
    part_.reset();
    names_synced_ = false;
    return Status::Ok();
  }

  Status SyncNames() {
    if (names_synced_) return Status::Ok();
    HR_RETURN_IF_ERROR(files()
                           .SyncDirectory(spec_.directory)
                           .WithContext("syncing directory '" + spec_.directory + "'"));
    names_synced_ = true;
    return Status::Ok();
  }

  const FileSinkSpec spec_;
  PartName name_;  // of the next part
  std::unique_ptr<DigestingFile> part_;
  PartName part_name_;
  int64_t part_started_ms_ = 0;
  std::vector<Pending> pending_;
  bool names_synced_ = true;
};

}  // namespace

Status ValidateFileSink(const FileSinkSpec& spec) {
  if (spec.directory.empty() || spec.directory[0] != '/') {
    return Status::InvalidArgument("file sink directory must be an absolute path, got '" +
                                   spec.directory + "'");
  }
  if (spec.prefix.empty() || (spec.prefix + spec.suffix).find('/') != std::string::npos) {
    return Status::InvalidArgument(
        "file sink prefix must not be empty, nor prefix or suffix hold "
        "'/', got '" +
        spec.prefix + "' and '" + spec.suffix + "'");
  }
  if (spec.part_bytes_max <= 0 || spec.part_age_max_ms < 0) {
    return Status::InvalidArgument("file sink limits must be positive, got " +
                                   std::to_string(spec.part_bytes_max) + " bytes and " +
                                   std::to_string(spec.part_age_max_ms) + " ms");
  }
  return Status::Ok();
}

OperatorFactoryPtr FileSink(FileSinkSpec spec) {
  return NativeOperator([spec = std::move(spec)](int) -> Result<std::unique_ptr<Operator>> {
    HR_RETURN_IF_ERROR(ValidateFileSink(spec));
    return std::unique_ptr<Operator>(std::make_unique<FileSinkOperator>(spec));
  });
}

}  // namespace headrace
