#pragma once

#include <Python.h>

#include <string>

#include "bindings/gil.h"
#include "headrace/base/status.h"

namespace headrace::bindings {

/// `snapshot_state` and `restore_state` of a source function.
///
/// The position is asked for with every record, after the function has set it: then rows and
/// positions match, wherever a barrier cuts. Ints and strs are kept as they are; anything that
/// could change is encoded at once.
/// Threading: used by the thread that runs the function, which holds the GIL.
class SourcePosition {
 public:
  /// `function` is borrowed and must outlive this.
  explicit SourcePosition(PyObject* function) : function_(function) {}

  /// True when the function has both methods.
  static bool Supported(PyObject* function);
  /// Hands a stored position to the function.
  Status Restore(const std::string& encoded) const;
  /// The position now: an int or str as it is, else bytes of its encoding in a one-element tuple.
  Result<PyRef> Current() const;
  /// What Restore takes, from what Current gave.
  static Result<std::string> Encode(PyObject* current);

 private:
  PyObject* function_;
};

}  // namespace headrace::bindings
