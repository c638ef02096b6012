#pragma once

#include <Python.h>

#include <string>

#include "bindings/state_type.h"
#include "headrace/state/time_to_live.h"

namespace headrace::bindings {

/// Read a descriptor of headrace.datastream.state; false with a Python error set that says what was
/// given instead.
bool ReadDescriptorName(PyObject* descriptor, std::string* name);
/// `attribute`: "type_info", "element_type_info", "key_type_info", "value_type_info".
bool ReadDescriptorType(PyObject* descriptor, const char* attribute, StateType* type);
/// The time to live that enable_time_to_live() gave it, if any.
bool ReadDescriptorTtl(PyObject* descriptor, TimeToLive* ttl);
/// The same for operator state, which has none: false with a Python error set if it was given one.
bool RefuseDescriptorTtl(PyObject* descriptor, const std::string& name);
/// New reference to what the descriptor has under `attribute`; null with a Python error set.
PyObject* ReadDescriptorAttribute(PyObject* descriptor, const char* attribute);

}  // namespace headrace::bindings
