#include "bindings/record_writer.h"

#include <cstring>

#include "bindings/errors.h"
#include "bindings/graveyard.h"
#include "bindings/python_object_hooks.h"
#include "bindings/row_type.h"
#include "headrace/base/check.h"

namespace headrace::bindings {

RecordWriter::RecordWriter(RecordTypePtr type)
    : type_(std::move(type)), objects_only_(type_->objects()) {
  if (objects_only_) return;
  for (const ValueTypePtr& column : type_->columns) {
    Result<std::unique_ptr<ColumnBuilder>> builder = ColumnBuilder::Make(column->data);
    HR_CHECK(builder.ok());
    builders_.push_back(std::move(builder).value());
  }
}

RecordWriter::~RecordWriter() { Bury(std::move(objects_)); }

void RecordWriter::BeginTimestamps(TimestampMs timestamp) {
  has_timestamps_ = true;
  timestamps_.resize(static_cast<size_t>(rows_), kNoTimestamp);
  timestamps_.push_back(timestamp);
}

Status RecordWriter::AppendColumns(PyObject* owned) {
  PyRef record = PyRef::Steal(owned);
  if (type_->schema->shape() != RecordShape::kScalar) return AppendFields(owned);
  return UnboxValue(owned, *type_->columns[0], type_->schema->fields()[0].name, builders_[0].get());
}

Status RecordWriter::AppendFields(PyObject* record) {
  const auto& fields = type_->schema->fields();
  const auto size = static_cast<Py_ssize_t>(fields.size());
  PyObject* names = type_->names.get();
  const bool is_row = IsRow(record);
  // Rows of this very stream share the names; others are matched by name.
  const bool by_name =
      type_->schema->shape() == RecordShape::kRow &&
      (PyDict_Check(record) || (is_row && AsRow(record)->names && AsRow(record)->names != names));
  if (!by_name && !is_row && !PyTuple_Check(record) && !PyList_Check(record)) {
    return Status::InvalidArgument("a record of type " + type_->schema->ToString() +
                                   " is expected, got " + ShortRepr(record) + " of type " +
                                   Py_TYPE(record)->tp_name);
  }
  if (!by_name) {
    const Py_ssize_t given = is_row ? Py_SIZE(record) : PySequence_Fast_GET_SIZE(record);
    if (given != size) {
      return Status::InvalidArgument("a record of type " + type_->schema->ToString() + " has " +
                                     std::to_string(size) + " fields, got " +
                                     std::to_string(given) + ": " + ShortRepr(record));
    }
  }
  for (Py_ssize_t i = 0; i < size; ++i) {
    const auto c = static_cast<size_t>(i);
    PyRef item;
    if (by_name) {
      item = PyRef::Steal(PyObject_GetItem(record, PyTuple_GET_ITEM(names, i)));
    } else {
      PyObject* borrowed = is_row ? AsRow(record)->values[i] : PySequence_Fast_GET_ITEM(record, i);
      item = PyRef::Borrow(borrowed ? borrowed : Py_None);
    }
    if (!item) {
      PyErr_Clear();
      return Status::InvalidArgument("record " + ShortRepr(record) + " has no field '" +
                                     fields[c].name + "'; the stream's type is " +
                                     type_->schema->ToString());
    }
    HR_RETURN_IF_ERROR(
        UnboxValue(item.get(), *type_->columns[c], fields[c].name, builders_[c].get()));
  }
  return Status::Ok();
}

RecordBatch RecordWriter::Finish() {
  RecordBatch batch;
  batch.schema = type_->schema;
  batch.num_rows = rows_;
  if (objects_only_) {
    std::vector<Object> values;
    values.swap(objects_);
    batch.columns.push_back(Column::OfObjects(
        std::make_shared<const ObjectBlock>(PythonObjectHooks(), std::move(values))));
    objects_.reserve(static_cast<size_t>(rows_));
  } else {
    for (const auto& builder : builders_) batch.columns.push_back(builder->Finish());
  }
  if (has_timestamps_) {
    auto buffer = Buffer::Allocate(timestamps_.size() * sizeof(TimestampMs));
    std::memcpy(buffer->mutable_data(), timestamps_.data(),
                timestamps_.size() * sizeof(TimestampMs));
    batch.timestamps = std::move(buffer);
    timestamps_.clear();
    has_timestamps_ = false;
  }
  rows_ = 0;
  return batch;
}

}  // namespace headrace::bindings
