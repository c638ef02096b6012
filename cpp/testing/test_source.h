#pragma once

#include <cstdint>

#include "headrace/connectors/source.h"
#include "testing/test_rows.h"

namespace headrace {

/// Rows that follow from a seed: row i of split s is the same in every run. Plain data.
struct TestSourceSpec {
  uint64_t seed = 1;
  int splits = 1;
  int64_t rows_per_split = 100;
  int64_t keys = 10;
  int64_t step_ms = 10;       ///< event time of row i is about i · step_ms …
  int64_t disorder_ms = 0;    ///< … minus up to this much
  int64_t straggler_ms = 0;   ///< one row in sixteen: minus up to this much more
  double nothing_odds = 0;    ///< how often a poll has nothing
  double failure_odds = 0;    ///< how often a poll fails with kIoError
  bool random_polls = false;  ///< sizes and order of splits follow Env::Random64
};

/// Row `row` of split `split`.
TestRow TestSourceRow(const TestSourceSpec& spec, int split, int64_t row);

/// A replayable, bounded source of TestRows whose splits can be read from any row on.
SourceFactoryPtr TestSource(const TestSourceSpec& spec);

}  // namespace headrace
