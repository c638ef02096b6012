#pragma once

#include <gtest/gtest.h>

#include <utility>

#include "headrace/checkpoint/coordinator.h"
#include "headrace/state/keyed_state.h"
#include "testing/sim_env.h"

namespace headrace::testing {

/// Takes and completes one checkpoint of a job of one task with one keyed operator, "op". Fails the
/// test where that does not succeed; `id`: its number.
inline void TakeCheckpoint(SimEnv* env, CheckpointCoordinator* coordinator, KeyedState* state,
                           int max_parallelism, CheckpointId* id) {
  coordinator->RequestNow(false);
  const auto triggered = coordinator->Tick();
  ASSERT_EQ(triggered.size(), 1u);
  *id = triggered[0].id;
  TaskSnapshot snapshot;
  OperatorSnapshot& op = snapshot.operators.emplace_back();
  op.operator_id = op.name = "op";
  op.kind = "process";
  op.max_parallelism = max_parallelism;
  op.key_groups = state->range();
  op.registry = state->Registry();
  op.keyed = state->Snapshot();
  coordinator->OnSnapshot(*id, std::move(snapshot));
  env->RunAllBackground();
  const auto done = coordinator->Tick();
  ASSERT_EQ(done.size(), 1u);
  ASSERT_EQ(done[0].kind, CheckpointCoordinator::Event::Kind::kCompleted)
      << done[0].status.ToString();
  state->OnCheckpointComplete();
}

}  // namespace headrace::testing
