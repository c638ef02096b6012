#include "headrace/windows/window_assigner.h"

#include "headrace/windows/slice_layout.h"

namespace headrace {
namespace {

class GridAssigner final : public WindowAssigner {
 public:
  explicit GridAssigner(const WindowSpec& spec) : spec_(spec) {}

  void Assign(TimestampMs timestamp, std::vector<TimeWindow>* windows) const override {
    windows->clear();
    TimestampMs start = FloorToGrid(timestamp, spec_.offset_ms, spec_.slide_ms);
    for (; start > timestamp - spec_.size_ms; start -= spec_.slide_ms) {
      windows->push_back(TimeWindow{start, start + spec_.size_ms});
    }
  }
  std::string ToString() const override { return spec_.ToString(); }

 private:
  const WindowSpec spec_;
};

}  // namespace

Result<WindowAssignerPtr> MakeWindowAssigner(const WindowSpec& spec) {
  HR_RETURN_IF_ERROR(spec.Validate());
  return WindowAssignerPtr(std::make_shared<const GridAssigner>(spec));
}

}  // namespace headrace
