#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "headrace/graph/stream_graph.h"
#include "headrace/runtime/channel.h"
#include "headrace/runtime/key_scatter.h"

namespace headrace {

/// The sending side of an exchange: finds the consumer of each row and puts the rows into its
/// channel.
///
/// Rows scattered by key are gathered per consumer and go out together when there are enough of
/// them, before every control element, when the producer has nothing more ready (Flush), and at the
/// latest after the buffer timeout (FlushIfDue). Every other partitioning passes batches on as they
/// are.
/// Threading: owned by the producing task's thread.
class ExchangeWriter {
 public:
  struct Options {
    Partitioning partitioning = Partitioning::kForward;
    int max_parallelism = kDefaultMaxParallelism;  ///< of the consumer
    int64_t batch_rows = 4096;                     ///< a quarter of it is enough to go out
    int64_t buffer_timeout_ms = 100;               ///< 0 = send every batch at once
    int first_consumer = 0;                        ///< where round robin starts
    bool copy_objects = true;  ///< consumers of a broadcast may change host values
  };
  /// `channels`: one for each consumer subtask that this producer can reach.
  ExchangeWriter(Options options, std::vector<std::shared_ptr<Channel>> channels);

  /// False: some channel is full; its producer is woken when it no longer is.
  bool HasRoom();
  Status Write(const RecordBatch& batch, int64_t now_ns);
  /// Sends gathered rows, then the element to every consumer.
  void WriteControl(const StreamElement& element);
  void Flush();
  void FlushIfDue(int64_t now_ns);
  /// Steady time at which gathered rows must go out; nullopt when there are none.
  std::optional<int64_t> flush_due_ns() const { return flush_due_ns_; }

 private:
  struct Pending {
    std::vector<BatchPart> parts;
    int64_t rows = 0;
  };
  Status WriteByKey(const RecordBatch& batch, int64_t now_ns);
  void FlushConsumer(size_t consumer);

  Options options_;
  /// Putting parts together copies them: a consumer loses less with a batch that is not full.
  int64_t enough_rows_;
  std::vector<std::shared_ptr<Channel>> channels_;
  std::optional<KeyScatter> scatter_;
  std::vector<Pending> pending_;
  std::optional<int64_t> flush_due_ns_;
  size_t next_consumer_ = 0;
};

}  // namespace headrace
