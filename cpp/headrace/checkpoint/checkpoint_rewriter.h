#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/checkpoint/checkpoint_transport.h"
#include "headrace/checkpoint/manifest.h"
#include "headrace/storage/checkpoint_file.h"

namespace headrace {

class RemoteDirectory;

/// A remote directory as whoever rewrites its checkpoints sees it.
struct RemoteCheckpoints {
  RemoteDirectory* directory = nullptr;  ///< whose run is ours; null: checkpoints are local
  std::vector<std::string> names;        ///< what is there and counts; manifests are in staging
  std::vector<std::string> outdated;     ///< manifests that must not count (see RemoteDirectory)
  CheckpointId next = 0;                 ///< the next free number

  /// Takes apart what the last Refresh() of `directory` showed.
  static Result<RemoteCheckpoints> Of(FileSystem& files, RemoteDirectory* directory,
                                      const std::vector<std::string>& names);
};

/// Replaces stored checkpoints by others of the same numbers, so that each is whole at any moment.
///
/// New data files come first, under names of their own (Rewrite); then each manifest is replaced by
/// a rename (Publish); then the old data files go (Finish). Cut off anywhere, every checkpoint is
/// whole in its old form or its new one, and doing all of it again completes the work.
///
/// Remote checkpoints are brought to the staging directory and written anew there: new data files
/// are uploaded, then each manifest is replaced there at once, then the old data files are deleted.
/// A replacement that the storage carries out after it was given up for failed must not meet that
/// deletion: all manifests are read back before.
/// Threading: owned by one thread.
class CheckpointRewriter {
 public:
  /// A data file written anew, and where its blocks lie now.
  struct NewFile {
    FileManifest manifest;
    std::map<uint64_t, BlockRef> blocks;  ///< by their former offset
  };

  /// Of a directory that no job uses: takes its lock and a run number of its own, so that no name
  /// is used twice. kFailedPrecondition when a job has it; kNotFound, nothing written, when it
  /// holds no checkpoint.
  static Result<std::unique_ptr<CheckpointRewriter>> Lock(Env* env, const std::string& directory);
  /// For whoever has the lock, or the run of a remote directory, whose staging directory is
  /// `directory` then. `next_number` and `run` together make names that were never used.
  CheckpointRewriter(Env* env, std::string directory, uint64_t run,
                     std::function<uint64_t()> next_number, RemoteCheckpoints remote = {});

  const std::string& directory() const { return directory_; }
  std::string PathOf(const std::string& name) const { return directory_ + "/" + name; }
  /// Of everything that is stored.
  Result<std::vector<std::string>> Names();
  /// Brings the files of a remote checkpoint.
  Status Fetch(const Manifest& manifest);
  /// Comes before the first Publish: whoever resumes from a remote directory goes on from
  /// checkpoint `newest` of those that are known, whatever else arrives there late.
  Status Begin(CheckpointId newest);

  /// May change the payload of a block; false leaves the block out.
  using Edit = std::function<Result<bool>(uint64_t offset, std::string* payload)>;
  /// Writes a data file of `manifest` anew with the key `key_id` ("": in the clear). A file that
  /// several checkpoints share is written at the first call; the later ones give the same.
  Result<const NewFile*> Rewrite(const Manifest& manifest, const FileManifest& file,
                                 const std::string& key_id, const Edit& edit);
  /// Puts the new files into a manifest; null where a file stays. kCorruption when a block that the
  /// manifest needs was left out.
  Status Replace(const std::vector<const NewFile*>& replaced, Manifest* manifest);
  /// The manifest file `name` becomes `manifest`, with the key manifest.key_id.
  Status Publish(const std::string& name, const Manifest& manifest);
  /// Makes all names durable, then removes the data files that were replaced and `others`.
  Status Finish(const std::set<std::string>& others = {});

  uint64_t files_written() const { return files_written_; }
  uint64_t bytes_written() const { return bytes_written_; }

 private:
  Status PublishRemotely(const std::string& name, const std::string& bytes);
  Status FinishRemotely(const std::set<std::string>& others);

  Env* const env_;
  FileSystem& files_;
  const std::string directory_;
  const uint64_t run_;
  const std::function<uint64_t()> next_number_;
  const RemoteCheckpoints remote_;
  std::unique_ptr<FileLock> lock_;            // null: somebody else has it
  std::map<std::string, NewFile> new_files_;  // by the old name
  std::set<std::string> old_files_;
  // Of remote checkpoints.
  std::set<std::string> fetched_;
  std::vector<StagedFile> to_upload_;
  std::map<std::string, std::string> published_;  // manifests and their content
  uint64_t files_written_ = 0;
  uint64_t bytes_written_ = 0;
};

}  // namespace headrace
