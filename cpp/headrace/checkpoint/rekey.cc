#include "headrace/checkpoint/rekey.h"

#include <memory>
#include <vector>

#include "headrace/checkpoint/checkpoint_rewriter.h"
#include "headrace/checkpoint/protocol.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/storage/key_ring.h"

namespace headrace {
namespace {

Result<bool> AsItIs(uint64_t, std::string*) { return true; }

// False when all of it is under that key already.
Result<bool> RekeyCheckpoint(Env* env, const std::string& name, const std::string& key_id,
                             CheckpointRewriter* rewriter) {
  FileSystem& files = env->files();
  HR_ASSIGN_OR_RETURN(Manifest manifest, ReadManifestFile(files, rewriter->PathOf(name)));
  HR_RETURN_IF_ERROR(CheckFilesWhole(files, manifest, rewriter->directory()));
  bool same = manifest.key_id == key_id;
  std::vector<const CheckpointRewriter::NewFile*> replaced(manifest.files.size(), nullptr);
  for (size_t i = 0; i < manifest.files.size(); ++i) {
    if (manifest.files[i].key_id == key_id) continue;
    same = false;
    HR_ASSIGN_OR_RETURN(replaced[i],
                        rewriter->Rewrite(manifest, manifest.files[i], key_id, &AsItIs));
  }
  if (same) return false;
  HR_RETURN_IF_ERROR(rewriter->Replace(replaced, &manifest));
  manifest.key_id = key_id;
  HR_RETURN_IF_ERROR(rewriter->Publish(name, manifest));
  return true;
}

}  // namespace

Result<RekeyReport> RekeyCheckpoints(Env* env, const std::string& directory,
                                     const std::string& key_id) {
  if (!key_id.empty()) {
    HR_RETURN_IF_ERROR(CheckKeyId(key_id));
    HR_RETURN_IF_ERROR(KeyRing::Process().Find(key_id).status());
  }
  HR_ASSIGN_OR_RETURN(const auto rewriter, CheckpointRewriter::Lock(env, directory));
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> names, env->files().List(directory));
  RekeyReport report;
  bool found = false;
  for (const std::string& name : names) {
    if (ParseStoredName(name).kind != StoredName::Kind::kManifest) continue;
    found = true;
    HR_ASSIGN_OR_RETURN(const bool rewritten, RekeyCheckpoint(env, name, key_id, rewriter.get()));
    report.checkpoints += rewritten;
  }
  if (!found) return Status::NotFound("directory " + directory + " holds no checkpoint");
  HR_RETURN_IF_ERROR(rewriter->Finish());
  report.files = rewriter->files_written();
  report.bytes = rewriter->bytes_written();
  return report;
}

}  // namespace headrace
