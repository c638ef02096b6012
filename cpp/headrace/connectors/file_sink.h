#pragma once

#include <cstdint>
#include <string>

#include "headrace/operators/operator.h"

namespace headrace {

/// Files of text lines in one directory. Plain data.
struct FileSinkSpec {
  std::string directory;               ///< absolute; made when missing
  std::string prefix = "part";         ///< of file names; no '/' in it
  std::string suffix;                  ///< e.g. ".csv"
  int64_t part_bytes_max = 128 << 20;  ///< a part is closed once it is this long
  int64_t part_age_max_ms = 60000;     ///< or this old; 0 = no limit
};

/// kInvalidArgument naming the value that is wrong.
Status ValidateFileSink(const FileSinkSpec& spec);

/// Writes the first column (strings; null as "None") as lines, exactly once: a part is a hidden
/// temporary file until the checkpoint that covers it is decided, then it gets its final name and
/// never changes.
///
///   temporary  .<prefix>-<owner>-<run>-<checkpoint>-<subtask>-<counter>.inprogress
///   final      <prefix>-<run>-<checkpoint>-<subtask>-<counter><suffix>
///
/// owner = hash of job key and operator id, run = random per attempt, checkpoint = the last one
/// before the part, counter = parts of this sink so far. A part ends at a barrier, at the size or
/// age limit, or with the input; it is then synced and its name reported by TakePendingRenames()
/// with each checkpoint until one of them is complete, so that an abandoned checkpoint loses
/// nothing.
///
/// Open removes temporaries of earlier attempts with this owner that the restored state does not
/// list; other files are never touched. Failures name the path. Operator state: counter and pending
/// temporaries.
OperatorFactoryPtr FileSink(FileSinkSpec spec);

}  // namespace headrace
