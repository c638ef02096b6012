#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <vector>

#include "bindings/errors.h"
#include "bindings/graph_holder.h"
#include "bindings/graph_objects.h"
#include "bindings/native_options.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

using InputTuple = std::tuple<int, std::string, std::string, int>;

Partitioning PartitioningOf(const std::string& name) {
  if (name == "forward") return Partitioning::kForward;
  if (name == "hash") return Partitioning::kHash;
  if (name == "rebalance") return Partitioning::kRebalance;
  if (name == "broadcast") return Partitioning::kBroadcast;
  if (name == "global") return Partitioning::kGlobal;
  ThrowStatus(Status::InvalidArgument("unknown partitioning '" + name + "'"));
}

int Add(GraphHolder& graph, StreamNode node) {
  node.id = static_cast<int>(graph.stream.nodes.size());
  graph.stream.nodes.push_back(std::move(node));
  return graph.stream.nodes.back().id;
}

JobGraph Built(const GraphHolder& graph, bool chaining) {
  return ValueOrThrow(BuildJobGraph(graph.stream, chaining));
}

}  // namespace

void BindGraph(py::module_& module) {
  py::class_<OperatorHandle>(module, "Operator", Collectable<OperatorHandle>());
  py::class_<SourceHandle>(module, "Source", Collectable<SourceHandle>())
      .def_property_readonly(
          "schema", [](const SourceHandle& s) { return SchemaHandle{s.factory->schema()}; });

  py::class_<GraphHolder>(module, "Graph", Collectable<GraphHolder>())
      .def(py::init<>())
      .def(
          "add_source",
          [](GraphHolder& self, const SourceHandle& source, const std::string& kind,
             const std::string& name, const std::string& uid, int parallelism, int max_parallelism,
             const SchemaHandle& schema, double rows_per_second, int timestamp_column,
             const py::object& watermarks) {
            StreamNode node;
            node.name = name;
            node.uid = uid;
            node.kind = kind;
            node.source = source.factory;
            node.source_options.rows_per_second = rows_per_second;
            node.source_options.timestamp_column = timestamp_column;
            if (!watermarks.is_none()) node.source_options.watermarks = WatermarkSpecOf(watermarks);
            node.output_schema = schema.schema;
            node.parallelism = parallelism;
            node.max_parallelism = max_parallelism;
            return Add(self, std::move(node));
          },
          py::arg("source"), py::kw_only(), py::arg("kind"), py::arg("name"), py::arg("uid"),
          py::arg("parallelism"), py::arg("max_parallelism"), py::arg("schema"),
          py::arg("rows_per_second") = 0.0, py::arg("timestamp_column") = -1,
          py::arg("watermarks") = py::none())
      .def(
          "add_operator",
          [](GraphHolder& self, const OperatorHandle& op, const std::string& kind,
             const std::string& name, const std::string& uid, int parallelism, int max_parallelism,
             const SchemaHandle& schema, bool keyed, const std::vector<InputTuple>& inputs,
             bool start_new_chain, bool disable_chaining, int64_t buffer_timeout_ms,
             const std::string& delivery_note) {
            StreamNode node;
            node.name = name;
            node.uid = uid;
            node.kind = kind;
            node.op = op.factory;
            node.output_schema = schema.schema;
            node.parallelism = parallelism;
            node.max_parallelism = max_parallelism;
            node.keyed = keyed;
            node.start_new_chain = start_new_chain;
            node.disable_chaining = disable_chaining;
            node.buffer_timeout_ms = buffer_timeout_ms;
            node.delivery_note = delivery_note;
            for (const auto& [from, partitioning, tag, input] : inputs) {
              node.inputs.push_back(StreamEdge{from, PartitioningOf(partitioning), tag, input});
            }
            return Add(self, std::move(node));
          },
          py::arg("operator"), py::kw_only(), py::arg("kind"), py::arg("name"), py::arg("uid"),
          py::arg("parallelism"), py::arg("max_parallelism"), py::arg("schema"), py::arg("keyed"),
          py::arg("inputs"), py::arg("start_new_chain") = false,
          py::arg("disable_chaining") = false, py::arg("buffer_timeout_ms") = -1,
          py::arg("delivery_note") = "")
      .def(
          "explain",
          [](const GraphHolder& self, bool chaining) { return ExplainJob(Built(self, chaining)); },
          py::arg("chaining") = true)
      .def(
          "plan_json",
          [](const GraphHolder& self, bool chaining) {
            return ExecutionPlanJson(Built(self, chaining));
          },
          py::arg("chaining") = true);
}

}  // namespace headrace::bindings
