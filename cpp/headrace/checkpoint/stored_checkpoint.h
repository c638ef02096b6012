#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/checkpoint/manifest.h"
#include "headrace/storage/checkpoint_file.h"

/// Checkpoints as they lie on disk: reading and checking them takes no lock and changes nothing.

namespace headrace {

/// Reads a manifest by path (a `chk-…manifest` file, a savepoint directory, or a job directory
/// whose newest is meant). Checks every file's presence and length before returning. kNotFound when
/// the path holds no checkpoint; a damaged newest is refused, naming the newest whole one.
/// `directory` (may be null) receives the directory that file names are relative to.
Result<Manifest> LoadManifest(FileSystem& files, const std::string& path, std::string* directory);

/// Completes the publication of a decided checkpoint's renames after a crash: checks the content of
/// what is still to be renamed, then PublishAll(). Idempotent.
Status FinishPublication(FileSystem& files, const Manifest& manifest);

/// Whom the data file `file` of a job must belong to.
CheckpointFileIdentity IdentityOf(const Manifest& manifest, const FileManifest& file);

/// Parses one manifest file; kCorruption when it holds another checkpoint than its name says.
Result<Manifest> ReadManifestFile(FileSystem& files, const std::string& path);
/// kCorruption naming the first file of `manifest` that is missing or of another length. One Stat a
/// file.
Status CheckFilesPresent(FileSystem& files, const Manifest& manifest, const std::string& directory);
/// Reads all bytes of all files of `manifest`; kCorruption names file and offset.
Status CheckFilesWhole(FileSystem& files, const Manifest& manifest, const std::string& directory);

}  // namespace headrace
