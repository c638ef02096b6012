#pragma once

#include <Python.h>

#include <cstdint>

#include "headrace/base/status.h"

namespace headrace::bindings {

/// Dates and times between Python objects and numbers, without a Python call. New* return null with
/// a Python error set when the value is outside what Python can hold (years 1 to 9999).

bool ImportDateTime();

int64_t DaysOfDate(PyObject* date);            ///< also of a datetime: its day
int64_t MicrosOfTime(PyObject* time);          ///< since midnight, the zone aside
int64_t MicrosOfDateTime(PyObject* datetime);  ///< since 1970-01-01, the wall clock reading
int FoldOf(PyObject* datetime);
PyObject* ZoneOf(PyObject* time_or_datetime);  ///< borrowed; None when naive
void PartsOfTimeDelta(PyObject* delta, int64_t* days, int64_t* seconds, int64_t* micros);
/// Microseconds of a timedelta; false when they do not fit.
bool MicrosOfTimeDelta(PyObject* delta, int64_t* micros);

PyObject* NewDate(int64_t days);
PyObject* NewTime(int64_t micros, PyObject* zone);
PyObject* NewDateTime(int64_t micros, int fold, PyObject* zone);
PyObject* NewTimeDelta(int64_t days, int64_t seconds, int64_t micros);
/// datetime.timezone of a fixed offset.
PyObject* NewFixedZone(int64_t offset_seconds);

}  // namespace headrace::bindings
