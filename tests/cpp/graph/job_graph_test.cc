#include "headrace/graph/job_graph.h"

#include <gtest/gtest.h>

#include "testing/test_operators.h"
#include "testing/test_source.h"

namespace headrace {
namespace {

// Calls Python as far as the graph can tell.
class HostFactory final : public OperatorFactory {
 public:
  Result<std::unique_ptr<Operator>> Make(int) override { return Status::Internal("never run"); }
  bool calls_python() const override { return true; }
};

StreamEdge From(int node, Partitioning partitioning = Partitioning::kForward) {
  StreamEdge edge;
  edge.from = node;
  edge.partitioning = partitioning;
  return edge;
}

class JobGraphTest : public testing::Test {
 protected:
  int Source(int parallelism = 1) {
    const int id = Add("source", {}, parallelism);
    graph_.nodes[id].op = nullptr;
    graph_.nodes[id].source = TestSource({});
    return id;
  }
  int Add(const std::string& kind, std::vector<StreamEdge> inputs, int parallelism = 1) {
    StreamNode node;
    node.id = static_cast<int>(graph_.nodes.size());
    node.name = kind;
    node.kind = kind;
    node.op = TestFilter(2, 0);
    node.inputs = std::move(inputs);
    node.output_schema = TestRowSchema();
    node.parallelism = parallelism;
    graph_.nodes.push_back(node);
    return node.id;
  }
  JobGraph Build(bool chaining = true) {
    Result<JobGraph> built = BuildJobGraph(graph_, chaining);
    EXPECT_TRUE(built.ok()) << built.status().ToString();
    return built.ok() ? *built : JobGraph();
  }
  Status Failure() { return BuildJobGraph(graph_, true).status(); }

  StreamGraph graph_;
};

TEST_F(JobGraphTest, ForwardEdgesOfEqualParallelismBecomeOneChain) {
  Add("sink", {From(Add("map", {From(Source(2))}, 2))}, 2);
  const JobGraph job = Build();
  ASSERT_EQ(job.chains.size(), 1u);
  EXPECT_EQ(job.chains[0].name, "Source: source -> map -> sink");
  EXPECT_EQ(job.chains[0].parallelism, 2);
  EXPECT_TRUE(job.exchanges.empty());
}

TEST_F(JobGraphTest, ChainsBranchAsATree) {
  const int map = Add("map", {From(Source())});
  Add("left", {From(map)});
  Add("right", {From(map)});
  const JobGraph job = Build();
  ASSERT_EQ(job.chains.size(), 1u);
  EXPECT_EQ(job.chains[0].name, "Source: source -> map -> (left, right)");
}

TEST_F(JobGraphTest, ChainingCanBeSwitchedOffForTheJobAndForOneOperator) {
  Add("sink", {From(Add("map", {From(Source())}))});
  EXPECT_EQ(Build(false).chains.size(), 3u);
  graph_.nodes[1].start_new_chain = true;
  EXPECT_EQ(Build().chains.size(), 2u);
  graph_.nodes[1].start_new_chain = false;
  graph_.nodes[1].disable_chaining = true;
  EXPECT_EQ(Build().chains.size(), 3u);
}

TEST_F(JobGraphTest, HashEdgeStaysAnExchangeUnlessBothSidesArePythonAndAlone) {
  Add("map", {From(Source(), Partitioning::kHash)});
  EXPECT_EQ(Build().chains.size(), 2u);
  const int host = Add("host", {From(1)});
  const int other = Add("other", {From(host, Partitioning::kHash)});
  graph_.nodes[host].op = std::make_shared<HostFactory>();
  graph_.nodes[other].op = std::make_shared<HostFactory>();
  EXPECT_EQ(Build().chains.size(), 2u);
  graph_.nodes[other].parallelism = 2;
  EXPECT_EQ(Build().chains.size(), 3u);
}

TEST_F(JobGraphTest, UnionHeadsAChainWithSeveralExchanges) {
  const int first = Source();
  const int second = Source();
  Add("union", {From(first), From(second)});
  const JobGraph job = Build();
  EXPECT_EQ(job.chains.size(), 3u);
  EXPECT_EQ(job.exchanges.size(), 2u);
}

TEST_F(JobGraphTest, ChainIsHostWhenItCopiesOrHashesHostValues) {
  const int source = Source();
  graph_.nodes[source].output_schema = Schema::Objects();
  Add("map", {From(source)});
  EXPECT_FALSE(Build().chains[0].calls_python);
  Add("other", {From(source)});
  EXPECT_TRUE(Build().chains[0].calls_python);
}

TEST_F(JobGraphTest, InvalidGraphsAreRefusedByName) {
  EXPECT_EQ(Failure().code(), StatusCode::kInvalidArgument);  // empty
  Add("map", {From(Source(2))}, 3);
  EXPECT_NE(Failure().message().find("equal parallelism"), std::string::npos);
  graph_.nodes[1].inputs[0].partitioning = Partitioning::kRebalance;
  graph_.nodes[1].keyed = true;
  EXPECT_NE(Failure().message().find("'map'"), std::string::npos);
  EXPECT_NE(Failure().message().find("key_by"), std::string::npos);
  graph_.nodes[1].inputs[0].partitioning = Partitioning::kHash;
  EXPECT_TRUE(Failure().ok());
  graph_.nodes[1].max_parallelism = 2;
  EXPECT_NE(Failure().message().find("max parallelism"), std::string::npos);
}

TEST_F(JobGraphTest, OperatorIdsIgnoreNamesFunctionsAndParallelism) {
  Add("sink", {From(Add("map", {From(Source())}))});
  const std::vector<std::string> before = *OperatorIds(graph_);
  graph_.nodes[1].name = "renamed";
  graph_.nodes[1].parallelism = 4;
  graph_.nodes[1].op = TestFilter(7, 1);
  EXPECT_EQ(*OperatorIds(graph_), before);
  EXPECT_EQ(before[1].size(), 16u);
  graph_.nodes[1].kind = "flat_map";
  EXPECT_NE((*OperatorIds(graph_))[1], before[1]);
}

TEST_F(JobGraphTest, SiblingsHaveDifferentIdsAndUidsReplaceThem) {
  const int source = Source();
  Add("map", {From(source)});
  Add("map", {From(source)});
  std::vector<std::string> ids = *OperatorIds(graph_);
  EXPECT_NE(ids[1], ids[2]);
  graph_.nodes[1].uid = "mine";
  EXPECT_EQ((*OperatorIds(graph_))[1], "mine");
  EXPECT_EQ((*OperatorIds(graph_))[2], ids[2]);
  graph_.nodes[2].uid = "mine";
  EXPECT_EQ(OperatorIds(graph_).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(JobGraphTest, ExplainNamesChainsExchangesAndPython) {
  const int map = Add("map", {From(Source(), Partitioning::kHash)}, 2);
  graph_.nodes[map].op = std::make_shared<HostFactory>();
  graph_.nodes[map].delivery_note = "at least once";
  const std::string text = ExplainJob(Build());
  EXPECT_NE(text.find("2 chains, 3 tasks, 1 exchanges"), std::string::npos) << text;
  EXPECT_NE(text.find("<- HASH from chain 0"), std::string::npos) << text;
  EXPECT_NE(text.find("calls Python"), std::string::npos) << text;
  EXPECT_NE(text.find("at least once"), std::string::npos) << text;
}

TEST_F(JobGraphTest, PlanJsonHasFlinksFields) {
  Add("s\"ink", {From(Source(), Partitioning::kRebalance)}, 2);
  EXPECT_EQ(ExecutionPlanJson(Build()),
            "{\"nodes\": [{\"id\": 0, \"type\": \"Source: source\", \"pact\": \"Data Source\", "
            "\"contents\": \"Source: source\", \"parallelism\": 1}, "
            "{\"id\": 1, \"type\": \"s\\\"ink\", \"pact\": \"Data Sink\", "
            "\"contents\": \"s\\\"ink\", \"parallelism\": 2, \"predecessors\": "
            "[{\"id\": 0, \"ship_strategy\": \"REBALANCE\", \"side\": \"first\"}]}]}");
}

}  // namespace
}  // namespace headrace
