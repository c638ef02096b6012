#pragma once

#include <memory>
#include <vector>

#include "headrace/state/key_dictionary.h"
#include "headrace/types/column_builder.h"

namespace headrace {

/// Rebuilds key columns from key dictionaries: the way back from LookupOrInsertBatch.
///
/// One field = the key is that column; several = the key is a struct of them. int64 and string keys
/// are copied, others decoded from their canonical bytes, objects through `hooks`.
/// Threading: owned by one task thread.
class KeyColumnBuilder {
 public:
  /// `fields` are plain (not dictionary-encoded) types. `hooks` may be null until SetHooks.
  static Result<std::unique_ptr<KeyColumnBuilder>> Make(std::vector<Field> fields,
                                                        ObjectHooks* hooks);

  /// Hooks of the host that object keys came from, if Make did not get them.
  void SetHooks(ObjectHooks* hooks) {
    if (!hooks_) hooks_ = hooks;
  }
  /// Appends the key with this id. REQUIRES: `id` is in use in `keys`.
  Status Append(const KeyDictionary& keys, KeyId id);

  /// What was appended since the last Finish().
  struct Finished {
    std::vector<ColumnPtr> columns;  ///< one a field
    ColumnPtr key;                   ///< the column, or the struct of them
  };
  Finished Finish();

 private:
  KeyColumnBuilder(std::vector<Field> fields, ObjectHooks* hooks)
      : fields_(std::move(fields)), hooks_(hooks) {}
  Status AppendEncoded(std::string_view canonical);

  const std::vector<Field> fields_;
  ObjectHooks* hooks_;
  DataTypePtr struct_type_;  // of several fields
  std::vector<std::unique_ptr<ColumnBuilder>> builders_;
};

}  // namespace headrace
