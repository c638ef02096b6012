#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "headrace/checkpoint/task_snapshot.h"
#include "headrace/runtime/batch_part.h"
#include "headrace/time/watermark.h"
#include "headrace/types/batch.h"

namespace headrace {

/// What travels between operators, in order: rows and the control elements between them.
/// Threading: a plain value.
struct StreamElement {
  enum class Kind : uint8_t {
    kBatch,       ///< `batch` for input `input` of the operator; in a channel it may be in `parts`
    kWatermark,   ///< event time advanced to `watermark`
    kIdle,        ///< nothing is expected for now; this input does not hold event time back
    kActive,      ///< ends kIdle
    kBarrier,     ///< rows behind it belong to the time after `checkpoint`
    kEndOfInput,  ///< nothing follows
  };
  Kind kind = Kind::kBatch;
  int input = 0;
  RecordBatch batch;
  std::vector<BatchPart> parts;  ///< the task that takes them from a channel makes batches of them
  TimestampMs watermark = kMinWatermark;
  CheckpointId checkpoint = 0;

  static StreamElement Batch(RecordBatch batch, int input = 0) {
    StreamElement element;
    element.input = input;
    element.batch = std::move(batch);
    return element;
  }
  static StreamElement Parts(std::vector<BatchPart> parts) {
    StreamElement element;
    element.parts = std::move(parts);
    return element;
  }
  static StreamElement Watermark(TimestampMs watermark) {
    StreamElement element;
    element.kind = Kind::kWatermark;
    element.watermark = watermark;
    return element;
  }
  static StreamElement Barrier(CheckpointId checkpoint) {
    StreamElement element;
    element.kind = Kind::kBarrier;
    element.checkpoint = checkpoint;
    return element;
  }
  static StreamElement Control(Kind kind) {
    StreamElement element;
    element.kind = kind;
    return element;
  }

  int64_t num_rows() const {
    int64_t rows = batch.num_rows;
    for (const BatchPart& part : parts) rows += part.num_rows;
    return rows;
  }
  int64_t SizeBytes() const {
    int64_t bytes = batch.SizeBytes();
    for (const BatchPart& part : parts) bytes += part.SizeBytes();
    return bytes;
  }
};

}  // namespace headrace
