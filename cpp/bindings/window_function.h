#pragma once

#include <memory>

#include "bindings/python_operator.h"
#include "headrace/operators/operator.h"

namespace headrace::bindings {

/// Adds the type of the contexts that ProcessWindowFunctions are handed; false with a Python error
/// set.
bool AddWindowContextType(PyObject* module);

/// Kind "window": a general window operator whose function calls Python. kInvalidArgument when the
/// options are wrong.
Result<OperatorFactoryPtr> MakePythonWindow(const PythonOperatorSpecPtr& spec);

}  // namespace headrace::bindings
