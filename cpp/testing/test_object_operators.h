#pragma once

#include <vector>

#include "headrace/operators/operator.h"
#include "headrace/runtime/thread_hooks.h"
#include "testing/test_objects.h"
#include "testing/test_rows.h"

namespace headrace {

/// Makes one object, a str, of each TestRow; the key becomes an object too.
OperatorFactoryPtr TestPackObjects(TestObjects* objects);
/// Takes such rows by key and keeps the largest object of each key as keyed state. Passes the
/// TestRows on, and at the end of time one more for each key: kind 10 · step + 5, key, x and y of
/// the largest.
OperatorFactoryPtr TestUnpackObjects(int64_t step, TestObjects* objects);

/// The rows that come out, in any order.
std::vector<TestRow> TestUnpackOracle(int64_t step, const std::vector<TestRow>& input);

/// Holds the pretended host lock around the steps of tasks that call the host.
std::shared_ptr<ThreadHooks> TestHostHooks(TestObjects* objects);

}  // namespace headrace
