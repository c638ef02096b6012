#include "bindings/state_columns.h"

#include <charconv>
#include <cstring>
#include <numeric>

#include "headrace/types/value_codec.h"
#include "headrace/windows/time_window.h"

namespace headrace::bindings {
namespace {

// As list_rows.h closes its segments.
constexpr size_t kFullSegmentBytes = 1024;
constexpr size_t kSegmentKeyBytes = 4;
// A column holds 2 GiB, and batches are cut after a few MiB.
constexpr size_t kValueBytesMax = size_t{1} << 30;
constexpr int64_t kUnknownCount = -1;

struct FixedKind {
  const char* name;
  DataTypePtr (*type)();
  uint32_t stored_bytes;
};
constexpr FixedKind kFixedKinds[] = {
    {"bool", &BoolType, 1},       {"int8", &Int8Type, 1},   {"int16", &Int16Type, 4},
    {"int32", &Int32Type, 4},     {"int64", &Int64Type, 8}, {"float32", &Float32Type, 4},
    {"float64", &Float64Type, 8},
};

DataTypePtr NamespaceType() {
  return StructType({{"window_start", Int64Type(), true}, {"window_end", Int64Type(), true}});
}

/// The column type that a DataType's name stands for, as far as aggregates keep such values; null
/// for others.
DataTypePtr TypeNamed(std::string_view name) {
  for (const FixedKind& kind : kFixedKinds) {
    if (name == kind.name) return kind.type();
  }
  if (name == "date32") return Date32Type();
  if (name == "time64[us]") return Time64Type();
  const bool timestamp = name.starts_with("timestamp[");
  const size_t open = name.find('[');
  if ((!timestamp && !name.starts_with("duration[")) || !name.ends_with("]")) return nullptr;
  const std::string_view inner = name.substr(open + 1, name.size() - open - 2);
  const std::string_view unit = inner.substr(0, inner.find(','));
  const char letter = unit == "s" ? 's' : unit == "ms" ? 'm' : unit == "us" ? 'u' : 'n';
  if (letter == 'n' && unit != "ns") return nullptr;
  const size_t zone = inner.find(", ");
  if (!timestamp) {
    return std::make_shared<const DataType>(TypeKind::kDuration, std::string("tD") + letter);
  }
  const std::string suffix = zone == inner.npos ? "" : std::string(inner.substr(zone + 2));
  return std::make_shared<const DataType>(TypeKind::kTimestamp,
                                          std::string("ts") + letter + ":" + suffix);
}

/// "tumbling(10000)", "sliding(10000, 4000, offset 500)" → 10000, 2000; 0 for anything else.
int64_t SliceLength(std::string_view window) {
  const bool tumbling = window.starts_with("tumbling(");
  if (!tumbling && !window.starts_with("sliding(")) return 0;
  const char* at = window.data() + window.find('(') + 1;
  const char* end = window.data() + window.size();
  int64_t size = 0;
  int64_t slide = 0;
  const auto first = std::from_chars(at, end, size);
  if (first.ec != std::errc() || size <= 0) return 0;
  if (tumbling) return size;
  if (end - first.ptr < 2) return 0;
  const auto second = std::from_chars(first.ptr + 2, end, slide);
  return second.ec == std::errc() && slide > 0 ? std::gcd(size, slide) : 0;
}

bool IsPickle(std::string_view encoded) { return !encoded.empty() && encoded[0] == '\x18'; }

}  // namespace

const char* StateFormName(StateForm form) {
  switch (form) {
    case StateForm::kValue:
      return "value";
    case StateForm::kMap:
      return "map";
    case StateForm::kList:
      return "list";
    case StateForm::kAggregates:
      return "aggregates";
    case StateForm::kTimers:
      return "timers";
    case StateForm::kKeys:
      return "keys";
  }
  return "value";
}

StateColumns::StateColumns(const StateReader::State& state, Unpickle unpickle)
    : unpickle_(std::move(unpickle)), row_bytes_(state.row_bytes) {
  ReadFingerprint(state);
}

StateColumns::StateColumns(StateForm form) : form_(form) {}

void StateColumns::ReadFingerprint(const StateReader::State& state) {
  std::string_view print = state.fingerprint;
  if (print.starts_with("ttl<") && print.ends_with(">")) {
    has_times_ = true;
    print = print.substr(4, print.size() - 5);
  }
  switch (state.kind) {
    case TableKind::kFixedValue:
      for (const FixedKind& kind : kFixedKinds) {
        // "value<int64>", "reducing<int64>"
        if (print.ends_with("<" + std::string(kind.name) + ">") &&
            state.row_bytes == kind.stored_bytes) {
          fixed_type_ = kind.type();
        }
      }
      raw_values_ = fixed_type_ == nullptr;
      return;
    case TableKind::kSlice: {
      // "tumbling(10000): sum(int64), count(*)"
      const size_t colon = print.find("): ");
      const bool sliced = SliceLength(print) > 0 && colon != print.npos;
      slice_ms_ = sliced ? SliceLength(print) : 0;
      raw_values_ = !ReadAggregates(sliced ? print.substr(colon + 3) : print, state.row_bytes);
      if (!raw_values_) form_ = StateForm::kAggregates;
      return;
    }
    default:
      if (print.starts_with("map<")) form_ = StateForm::kMap;
      if (print.starts_with("list<") || print.starts_with("window-list<")) {
        form_ = StateForm::kList;
      }
  }
}

// "sum(int64), count(*)"; false when that is not what `text` is, or not of `row_bytes`.
bool StateColumns::ReadAggregates(std::string_view text, uint32_t row_bytes) {
  std::vector<AggregateSpec> specs;
  std::vector<Field> inputs;
  std::map<std::string, int> uses;
  while (!text.empty()) {
    const size_t open = text.find('(');
    if (open == text.npos) return false;
    size_t close = open;
    int depth = 0;
    for (; close < text.size(); ++close) {
      if (text[close] == '(') ++depth;
      if (text[close] == ')' && --depth == 0) break;
    }
    if (close == text.size()) return false;
    AggregateSpec spec;
    spec.function = text.substr(0, open);
    const std::string_view type = text.substr(open + 1, close - open - 1);
    if (spec.function != "count") {
      const DataTypePtr input = TypeNamed(type);
      if (!input) return false;
      spec.input_column = static_cast<int>(inputs.size());
      inputs.push_back({"input" + std::to_string(inputs.size()), input, true});
    }
    const int use = ++uses[spec.function];
    spec.output_name = spec.function + (use == 1 ? "" : "_" + std::to_string(use));
    specs.push_back(spec);
    text.remove_prefix(close + 1);
    if (text.starts_with(", ")) text.remove_prefix(2);
  }
  auto made = AggregateRow::Make(specs, Schema(RecordShape::kRow, inputs));
  if (!made.ok() || specs.empty()) return false;
  if (row_bytes != 0 && static_cast<uint32_t>((*made)->row_bytes()) != row_bytes) return false;
  aggregates_ = std::move(made).value();
  return true;
}

Result<std::string> StateColumns::Shown(std::string_view encoded) const {
  if (unpickle_ && IsPickle(encoded)) return unpickle_(encoded);
  return std::string(encoded);
}

bool StateColumns::TakeTime(std::string_view* value, int64_t* last_used) const {
  if (value->size() < sizeof(*last_used)) return false;
  std::memcpy(last_used, value->data(), sizeof(*last_used));
  value->remove_prefix(sizeof(*last_used));
  return true;
}

Status StateColumns::NextElement(ByteReader* in, std::string_view* encoded,
                                 int64_t* last_used) const {
  if (has_times_) {
    HR_RETURN_IF_ERROR(in->Fixed(last_used));
    return in->String(encoded);
  }
  ByteReader end = *in;
  HR_RETURN_IF_ERROR(SkipValue(&end));
  return in->Raw(end.offset() - in->offset(), encoded);
}

Result<std::string> StateColumns::WithoutTimes(std::string_view stored) const {
  if (!has_times_) return std::string(stored);
  int64_t last_used = 0;
  if (form_ != StateForm::kList) {
    if (!TakeTime(&stored, &last_used)) return Status::Corruption("a value without its time");
    return std::string(stored);
  }
  std::string elements;
  for (ByteReader in(stored); !in.done();) {
    std::string_view encoded;
    HR_RETURN_IF_ERROR(NextElement(&in, &encoded, &last_used));
    elements += encoded;
  }
  return elements;
}

Status StateColumns::LearnValue(std::string_view encoded, ValueShape* shape, bool* raw) {
  if (*raw) return Status::Ok();
  std::string shown;
  if (unpickle_ && IsPickle(encoded)) {
    HR_ASSIGN_OR_RETURN(shown, Shown(encoded));
    encoded = shown;
  }
  ByteReader in(encoded);
  // What native operators keep need not be one encoded value.
  *raw = !shape->Add(&in).ok() || !in.done();
  return Status::Ok();
}

StateColumns::ListKey StateColumns::ListOf(const StateRow& row) {
  ByteWriter list;
  list.Fixed<int32_t>(row.subtask);
  list.Fixed<uint32_t>(row.key_id);
  if (row.key_id == 0) list.String(row.key);
  list.Raw(row.ns);
  return list.Take();
}

Result<uint32_t> StateColumns::SegmentOf(const StateRow& row) {
  if (row.sub_key.size() != kSegmentKeyBytes) {
    return Status::Corruption("a list's segment is numbered by " +
                              std::to_string(row.sub_key.size()) + " bytes");
  }
  uint32_t number = 0;
  for (const char byte : row.sub_key) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

Status StateColumns::LearnList(const StateRow& row) {
  HR_ASSIGN_OR_RETURN(const uint32_t number, SegmentOf(row));
  int64_t elements = 0;
  for (ByteReader in(row.value); !in.done(); ++elements) {
    if (!unpickle_ && !has_times_) {
      HR_RETURN_IF_ERROR(values_.Add(&in));
      continue;
    }
    std::string_view encoded;
    int64_t last_used = 0;
    HR_RETURN_IF_ERROR(NextElement(&in, &encoded, &last_used));
    HR_ASSIGN_OR_RETURN(const std::string shown, Shown(encoded));
    ByteReader value(shown);
    HR_RETURN_IF_ERROR(values_.Add(&value));
    HR_RETURN_IF_ERROR(value.ExpectDone());
  }
  // Only a full segment has another behind it, whose elements need to know how many came before.
  if (row.value.size() < kFullSegmentBytes && number == 0) return Status::Ok();
  std::vector<int64_t>& counts = segments_[ListOf(row)];
  // A number is believed as far as there could be that many segments.
  if (number > counts.size() + (1u << 20)) {
    return Status::Corruption("a list has no segments before number " + std::to_string(number));
  }
  if (number >= counts.size()) counts.resize(number + 1, kUnknownCount);
  counts[number] = elements;
  return Status::Ok();
}

Status StateColumns::Learn(const StateRow& row) {
  if (row.value.size() > kValueBytesMax) {
    return Status::ResourceExhausted("a value of " + std::to_string(row.value.size()) +
                                     " bytes is too long for a column");
  }
  ByteReader key(row.key);
  HR_RETURN_IF_ERROR(keys_.Add(&key));
  HR_RETURN_IF_ERROR(key.ExpectDone());
  if (!row.ns.empty() && !DecodeWindow(row.ns).ok()) raw_namespaces_ = true;
  std::string_view value = row.value;
  int64_t last_used = 0;
  const bool single = form_ == StateForm::kValue || form_ == StateForm::kMap;
  if (single && has_times_ && !TakeTime(&value, &last_used)) {
    return Status::Corruption("a value with a time to live has no time");
  }
  switch (form_) {
    case StateForm::kValue:
      return knows_values() ? Status::Ok() : LearnValue(value, &values_, &raw_values_);
    case StateForm::kMap:
      HR_RETURN_IF_ERROR(LearnValue(row.sub_key, &map_keys_, &raw_map_keys_));
      return LearnValue(value, &values_, &raw_values_);
    case StateForm::kList:
      return LearnList(row);
    default:
      return Status::Ok();
  }
}

Status StateColumns::FinishLearning() {
  for (auto& [list, counts] : segments_) {
    int64_t start = 0;
    for (int64_t& count : counts) {
      if (count == kUnknownCount) return Status::Corruption("a list lacks one of its segments");
      start += std::exchange(count, start);
    }
  }
  std::vector<Field> fields;
  const auto add = [&](const char* name, DataTypePtr type, std::string description) {
    fields.push_back({name, std::move(type), true});
    descriptions_.emplace_back(name, std::move(description));
  };
  const auto add_shape = [&](const char* name, ValueShape* shape, bool raw) {
    shape->Finish();
    add(name, raw ? BinaryType() : shape->type(),
        raw ? "bytes of the engine's own" : shape->Describe());
  };
  add_shape("key", &keys_, false);
  if (form_ == StateForm::kKeys) {
    add("id", Int64Type(), "int");
    add("key_group", Int32Type(), "int");
    add("subtask", Int32Type(), "int");
  } else {
    add("namespace", raw_namespaces_ ? BinaryType() : NamespaceType(),
        raw_namespaces_ ? "bytes of the engine's own" : "window");
  }
  switch (form_) {
    case StateForm::kValue:
      if (fixed_type_) {
        add("value", fixed_type_, fixed_type_->ToString());
      } else {
        add_shape("value", &values_, raw_values_);
      }
      break;
    case StateForm::kMap:
      add_shape("map_key", &map_keys_, raw_map_keys_);
      add_shape("value", &values_, raw_values_);
      break;
    case StateForm::kList:
      add("index", Int64Type(), "int");
      add_shape("value", &values_, false);
      break;
    case StateForm::kAggregates:
      for (const Field& field : aggregates_->OutputFields()) {
        add(field.name.c_str(), field.type, field.type->ToString());
      }
      break;
    case StateForm::kTimers:
      add("domain", StringType(), "event time or processing time");
      add("time", Int64Type(), "int");
      break;
    case StateForm::kKeys:
      break;
  }
  if (has_times_) add("last_used", Int64Type(), "int");
  schema_ = std::make_shared<const Schema>(RecordShape::kRow, std::move(fields));
  return Status::Ok();
}

// ---- Building ----

Result<std::unique_ptr<StateColumns::Builder>> StateColumns::Builder::Make(
    const StateColumns* columns) {
  std::unique_ptr<Builder> builder(new Builder());
  builder->plan_ = columns;
  for (const Field& field : columns->schema_->fields()) {
    HR_ASSIGN_OR_RETURN(auto column, ColumnBuilder::Make(field.type));
    builder->columns_.push_back(std::move(column));
  }
  return builder;
}

void StateColumns::Builder::AppendNamespace(const StateRow& row) {
  ColumnBuilder* out = columns_[1].get();
  if (plan_->raw_namespaces_) return out->AppendString(row.ns);
  if (plan_->form_ == StateForm::kAggregates) {
    if (plan_->slice_ms_ == 0) return out->AppendNull();
    out->children()[0]->AppendInt(row.time);
    out->children()[1]->AppendInt(row.time + plan_->slice_ms_);
    return out->CloseStruct();
  }
  if (row.ns.empty()) return out->AppendNull();
  const Result<TimeWindow> window = DecodeWindow(row.ns);
  out->children()[0]->AppendInt(window->start);
  out->children()[1]->AppendInt(window->end);
  out->CloseStruct();
}

Status StateColumns::Builder::AppendKey(const StateRow& row) {
  ByteReader key(row.key);
  return plan_->keys_.Append(&key, columns_[0].get());
}

Status StateColumns::Builder::AppendFixed(std::string_view value) {
  ColumnBuilder* out = columns_[2].get();
  const auto read = [&](auto* number) { std::memcpy(number, value.data(), sizeof(*number)); };
  int8_t narrow = 0;
  int32_t middle = 0;
  int64_t wide = 0;
  float single = 0;
  double number = 0;
  switch (plan_->fixed_type_->kind()) {
    case TypeKind::kFloat32:
      read(&single);
      out->AppendFloat(single);
      break;
    case TypeKind::kFloat64:
      read(&number);
      out->AppendFloat(number);
      break;
    case TypeKind::kInt64:
      read(&wide);
      out->AppendInt(wide);
      break;
    case TypeKind::kBool:
    case TypeKind::kInt8:
      read(&narrow);
      out->AppendInt(plan_->fixed_type_->kind() == TypeKind::kBool ? narrow != 0 : narrow);
      break;
    case TypeKind::kInt16:
      read(&middle);
      out->AppendInt(static_cast<int16_t>(middle));
      break;
    default:
      read(&middle);
      out->AppendInt(middle);
  }
  return Status::Ok();
}

Status StateColumns::Builder::AppendAggregates(const StateRow& row) {
  accumulators_.resize((row.value.size() + 7) / 8);
  std::memcpy(accumulators_.data(), row.value.data(), row.value.size());
  for (size_t i = 0; i < plan_->aggregates_->size(); ++i) {
    plan_->aggregates_->AppendResult(i, reinterpret_cast<const char*>(accumulators_.data()),
                                     columns_[2 + i].get());
  }
  return Status::Ok();
}

Status StateColumns::Builder::AppendList(const StateRow& row) {
  HR_ASSIGN_OR_RETURN(const uint32_t number, SegmentOf(row));
  int64_t index = 0;
  const auto found = plan_->segments_.find(ListOf(row));
  if (found != plan_->segments_.end() && number < found->second.size()) {
    index = found->second[number];
  }
  for (ByteReader in(row.value); !in.done(); ++index) {
    HR_RETURN_IF_ERROR(AppendKey(row));
    AppendNamespace(row);
    columns_[2]->AppendInt(index);
    std::string_view encoded;
    int64_t last_used = 0;
    HR_RETURN_IF_ERROR(plan_->NextElement(&in, &encoded, &last_used));
    HR_RETURN_IF_ERROR(AppendEncoded(encoded, plan_->values_, false, columns_[3].get()));
    if (plan_->has_times_) columns_[4]->AppendInt(last_used);
  }
  return Status::Ok();
}

Status StateColumns::Builder::AppendEncoded(std::string_view encoded, const ValueShape& shape,
                                            bool raw, ColumnBuilder* out) const {
  if (raw) {
    out->AppendString(encoded);
    return Status::Ok();
  }
  if (!plan_->unpickle_ || !IsPickle(encoded)) {
    ByteReader in(encoded);
    return shape.Append(&in, out);
  }
  HR_ASSIGN_OR_RETURN(const std::string shown, plan_->Shown(encoded));
  ByteReader in(shown);
  return shape.Append(&in, out);
}

Status StateColumns::Builder::Append(const StateRow& row) {
  size_bytes_ += row.key.size() + row.ns.size() + row.sub_key.size() + row.value.size() + 16;
  if (plan_->form_ == StateForm::kList) return AppendList(row);
  HR_RETURN_IF_ERROR(AppendKey(row));
  if (plan_->form_ == StateForm::kKeys) {
    columns_[1]->AppendInt(row.key_id);
    columns_[2]->AppendInt(row.key_group);
    columns_[3]->AppendInt(row.subtask);
    return Status::Ok();
  }
  AppendNamespace(row);
  std::string_view value = row.value;
  int64_t last_used = 0;
  if (plan_->has_times_) {
    if (!plan_->TakeTime(&value, &last_used)) return Status::Internal("a value without its time");
    columns_.back()->AppendInt(last_used);
  }
  switch (plan_->form_) {
    case StateForm::kValue:
      if (plan_->fixed_type_) return AppendFixed(row.value);
      return AppendEncoded(value, plan_->values_, plan_->raw_values_, columns_[2].get());
    case StateForm::kMap:
      HR_RETURN_IF_ERROR(
          AppendEncoded(row.sub_key, plan_->map_keys_, plan_->raw_map_keys_, columns_[2].get()));
      return AppendEncoded(value, plan_->values_, plan_->raw_values_, columns_[3].get());
    case StateForm::kAggregates:
      return AppendAggregates(row);
    case StateForm::kTimers:
      columns_[2]->AppendString(row.domain == 0 ? "event time" : "processing time");
      columns_[3]->AppendInt(row.time);
      return Status::Ok();
    case StateForm::kList:
    case StateForm::kKeys:
      break;
  }
  return Status::Internal("no such form of state");
}

RecordBatch StateColumns::Builder::Finish() {
  RecordBatch batch;
  batch.schema = plan_->schema_;
  batch.num_rows = rows();
  for (const auto& column : columns_) batch.columns.push_back(column->Finish());
  size_bytes_ = 0;
  return batch;
}

}  // namespace headrace::bindings
