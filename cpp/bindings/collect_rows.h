#pragma once

#include <memory>

#include "headrace/connectors/collect_buffer.h"
#include "headrace/types/schema.h"

namespace headrace::bindings {

/// `_core.CollectBuffer`: rows of a running job on their way to the Python caller.
class CollectRows {
 public:
  CollectRows(SchemaPtr schema, bool checkpointed)
      : schema_(std::move(schema)),
        buffer_(std::make_shared<CollectBuffer>(checkpointed, kRowsMax)) {}

  const SchemaPtr& schema() const { return schema_; }
  const std::shared_ptr<CollectBuffer>& buffer() const { return buffer_; }

 private:
  // Rows that may wait for a reader that is slower than the job: memory stays flat.
  static constexpr int64_t kRowsMax = 1 << 20;

  SchemaPtr schema_;
  std::shared_ptr<CollectBuffer> buffer_;
};

}  // namespace headrace::bindings
