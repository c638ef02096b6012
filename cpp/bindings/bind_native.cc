#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings/arrow_capsules.h"
#include "bindings/collect_rows.h"
#include "bindings/errors.h"
#include "bindings/graph_objects.h"
#include "bindings/native_options.h"
#include "bindings/python_object_hooks.h"
#include "bindings/type_description.h"
#include "headrace/connectors/batch_list_source.h"
#include "headrace/connectors/collect_sink.h"
#include "headrace/connectors/file_sink.h"
#include "headrace/connectors/number_sequence_source.h"
#include "headrace/operators/event_time_column.h"
#include "headrace/operators/key_by_fields.h"
#include "headrace/operators/project.h"
#include "headrace/operators/running_aggregate.h"
#include "headrace/operators/running_field.h"
#include "headrace/operators/text_encode.h"
#include "headrace/operators/timestamps_and_watermarks.h"
#include "headrace/operators/union.h"
#include "headrace/windows/slicing_window_operator.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

struct Made {
  OperatorFactoryPtr factory;
  SchemaPtr schema;
};

std::vector<int> Columns(const Schema& schema, const py::object& fields) {
  std::vector<int> columns;
  for (const py::handle field : fields) columns.push_back(ColumnOf(schema, field));
  return columns;
}

/// Key fields as they go out: columns of the input for field keys, else one field named as given.
std::vector<Field> KeyFields(const Schema& schema, const py::dict& options) {
  const py::object columns = options["key_columns"];
  if (!columns.is_none()) {
    return ValueOrThrow(KeyFieldsOf(schema, Columns(schema, columns)));
  }
  const auto names = py::cast<std::vector<std::string>>(options["key_names"]);
  const py::object key_type = Option(options, "key_type");
  return {Field{names.at(0), key_type.is_none() ? ObjectType() : TypeOfDescription(key_type)}};
}

std::vector<AggregateSpec> Aggregates(const Schema& schema, const py::dict& options) {
  std::vector<AggregateSpec> specs;
  for (const py::handle item : options["aggregates"]) {
    const auto parts = py::reinterpret_borrow<py::tuple>(item);
    AggregateSpec spec;
    spec.function = py::cast<std::string>(parts[0]);
    spec.input_column = parts[1].is_none() ? -1 : ColumnOf(schema, parts[1]);
    spec.output_name = py::cast<std::string>(parts[2]);
    specs.push_back(std::move(spec));
  }
  return specs;
}

Made WindowAgg(const SchemaPtr& schema, const py::dict& options) {
  SlicingWindowSpec spec;
  spec.window = WindowSpecOf(options);
  spec.key_fields = KeyFields(*schema, options);
  spec.aggregates = Aggregates(*schema, options);
  spec.input_schema = schema;
  spec.hooks = PythonObjectHooks();
  SchemaPtr output = ValueOrThrow(SlicingWindowSchema(spec));
  return {SlicingWindow(std::move(spec)), std::move(output)};
}

Made RunningAgg(const SchemaPtr& schema, const py::dict& options) {
  RunningAggregateSpec spec{KeyFields(*schema, options), Aggregates(*schema, options), schema};
  SchemaPtr output = ValueOrThrow(RunningAggregateSchema(spec));
  return {RunningAggregate(std::move(spec)), std::move(output)};
}

Made RunningFieldOf(const SchemaPtr& schema, const py::dict& options) {
  RunningFieldSpec spec;
  spec.function = py::cast<std::string>(options["op"]);
  spec.column = ColumnOf(*schema, options["field"]);
  const py::object keys = Option(options, "key_columns");
  if (!keys.is_none()) spec.key_columns = Columns(*schema, keys);
  spec.input_schema = schema;
  SchemaPtr output = ValueOrThrow(RunningFieldSchema(spec));
  return {RunningField(std::move(spec)), std::move(output)};
}

Made KeyBy(const SchemaPtr& schema, const py::dict& options) {
  std::vector<int> columns = Columns(*schema, options["fields"]);
  ValueOrThrow(KeyFieldsOf(*schema, columns));
  return {KeyByFields(std::move(columns)), schema};
}

Made ProjectOf(const SchemaPtr& schema, const py::dict& options) {
  std::vector<int> columns = Columns(*schema, options["fields"]);
  const RecordShape shape =
      schema->shape() == RecordShape::kScalar ? RecordShape::kTuple : schema->shape();
  SchemaPtr output = ValueOrThrow(ProjectedSchema(*schema, columns, {}, shape));
  return {Project(std::move(columns), output), output};
}

Made Timestamps(const SchemaPtr& schema, const py::dict& options) {
  const py::object field = options["field"];
  const int column = field.is_none() ? kTimestampsInBatch : ColumnOf(*schema, field);
  if (column >= 0) ThrowIfError(CheckEventTimeType(schema->fields()[static_cast<size_t>(column)]));
  return {TimestampsAndWatermarks(column, WatermarkSpecOf(options["watermarks"])), schema};
}

Made FileSinkOf(const py::dict& options) {
  FileSinkSpec spec;
  spec.directory = py::cast<std::string>(options["path"]);
  spec.prefix = py::cast<std::string>(options["prefix"]);
  spec.suffix = py::cast<std::string>(options["suffix"]);
  spec.part_bytes_max = py::cast<int64_t>(options["roll_size_bytes"]);
  spec.part_age_max_ms = py::cast<int64_t>(options["roll_interval_ms"]);
  ThrowIfError(ValidateFileSink(spec));
  return {FileSink(std::move(spec)), TextSchema()};
}

/// Takes rows and forgets them.
class Discard final : public Operator {
 public:
  Result<Progress> Process(const RecordBatch&, int, Output&) override { return Progress::kDone; }
};

Made MakeNative(const std::string& kind, const SchemaPtr& schema, const py::dict& options) {
  if (kind == "key_by_fields") return KeyBy(schema, options);
  if (kind == "project") return ProjectOf(schema, options);
  if (kind == "union") return {Union(schema), schema};
  if (kind == "timestamps") return Timestamps(schema, options);
  if (kind == "window_agg") return WindowAgg(schema, options);
  if (kind == "running_agg") return RunningAgg(schema, options);
  if (kind == "running_field") return RunningFieldOf(schema, options);
  if (kind == "text_encode") return {TextEncode(), TextSchema()};
  if (kind == "file_sink") return FileSinkOf(options);
  if (kind == "collect") {
    const auto& rows = py::cast<const CollectRows&>(options["buffer"]);
    return {CollectSink(rows.buffer()), schema};
  }
  if (kind == "discard") {
    auto make = [](int) -> Result<std::unique_ptr<Operator>> {
      return std::unique_ptr<Operator>(std::make_unique<Discard>());
    };
    return {NativeOperator(make), schema};
  }
  ThrowStatus(Status::InvalidArgument("there is no native operator of kind '" + kind + "'"));
}

}  // namespace

void BindNativeOperators(py::module_& module) {
  module.def("native_operator",
             [](const std::string& kind, const SchemaHandle& input, const py::dict& options) {
               Made made = MakeNative(kind, input.schema, options);
               return py::make_tuple(OperatorHandle{std::move(made.factory)},
                                     SchemaHandle{std::move(made.schema)});
             });
}

void BindNativeSources(py::module_& module) {
  module.def("number_sequence_source", [](int64_t start, int64_t end) {
    return SourceHandle{NumberSequenceSource(start, end)};
  });
  module.def("arrow_source", [](const py::object& data) {
    SchemaPtr schema;
    std::vector<RecordBatch> batches = ImportArrow(data, &schema);
    return SourceHandle{BatchListSource(schema, std::move(batches))};
  });
}

}  // namespace headrace::bindings
