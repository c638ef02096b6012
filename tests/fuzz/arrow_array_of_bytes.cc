#include "arrow_array_of_bytes.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace headrace {
namespace {

constexpr int kDepthMax = 3;
constexpr int kRowsMax = 32;

int64_t unreleased = 0;

struct SchemaNode {
  std::string format;
  std::string name;
  std::vector<ArrowSchema> children;
  std::vector<ArrowSchema*> child_pointers;
  ArrowSchema dictionary{};
};

struct ArrayNode {
  std::vector<std::unique_ptr<char[]>> memory;
  std::vector<const void*> buffers;
  std::vector<ArrowArray> children;
  std::vector<ArrowArray*> child_pointers;
  ArrowArray dictionary{};
};

template <typename Node, typename Arrow>
void Release(Arrow* arrow) {
  auto* node = static_cast<Node*>(arrow->private_data);
  for (Arrow& child : node->children) {
    if (child.release != nullptr) child.release(&child);
  }
  if (node->dictionary.release != nullptr) node->dictionary.release(&node->dictionary);
  delete node;
  arrow->release = nullptr;
  --unreleased;
}

int WidthOf(const std::string& format) {
  if (format == "c" || format == "C") return 1;
  if (format == "s" || format == "S") return 2;
  if (format == "i" || format == "I" || format == "f" || format == "tdD") return 4;
  if (format.starts_with("d:")) return 16;
  return 8;
}

/// `size_bytes` bytes that repeat a text of the input, or zeros.
char* Fill(ArrayNode* node, int64_t size_bytes, FuzzInput* in) {
  node->memory.push_back(std::make_unique<char[]>(static_cast<size_t>(size_bytes)));
  char* memory = node->memory.back().get();
  const std::string_view text = in->Text();
  for (int64_t i = 0; i < size_bytes && !text.empty(); ++i) {
    memory[i] = text[static_cast<size_t>(i) % text.size()];
  }
  return memory;
}

/// `count` offsets that mostly ascend; returns the last one.
int32_t FillOffsets(ArrayNode* node, int64_t count, FuzzInput* in) {
  char* memory = Fill(node, count * 4, in);
  int32_t end = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto choice = static_cast<uint8_t>(memory[i * 4]);
    end += choice < 0xf0 ? choice % 4 : choice - 0xf8;
    std::memcpy(memory + i * 4, &end, sizeof(end));
  }
  return end;
}

bool IsDictionaryIndex(const std::string& format) {
  return format.size() == 1 && std::string_view("cCsSiIlL").find(format[0]) != std::string::npos;
}

}  // namespace

FuzzedType FuzzedType::Read(FuzzInput* in, int depth) {
  static constexpr const char* kFormats[] = {
      "n",       "b",    "c",    "s",   "i",   "l",      "f",  "g",  "u",  "z", "tdD", "ttu",
      "tss:UTC", "tsm:", "tsn:", "tDn", "tDs", "d:10,2", "+l", "+m", "+s", "L", "U",   "+us:0,1"};
  FuzzedType type;
  type.format = kFormats[in->Below(std::size(kFormats))];
  const auto add_child = [&] { type.children.push_back(Read(in, depth + 1)); };
  if (depth == kDepthMax && type.format[0] == '+') type.format = "l";
  if (type.format == "+l") add_child();
  if (type.format == "+m") {
    FuzzedType entries;
    entries.format = "+s";
    entries.children.push_back(Read(in, depth + 1));
    entries.children.push_back(Read(in, depth + 1));
    type.children.push_back(std::move(entries));
  }
  if (type.format == "+s") {
    for (int left = in->Below(4); left > 0; --left) add_child();
  }
  // A wrong number of children, or a dictionary behind anything.
  const int oddity = in->Byte();
  if (oddity == 0xff && depth < kDepthMax) add_child();
  if (oddity == 0xfe && !type.children.empty()) type.children.pop_back();
  if (depth < kDepthMax && oddity >= 0x80 && IsDictionaryIndex(type.format)) {
    type.dictionary = std::make_unique<FuzzedType>(Read(in, depth + 1));
  }
  return type;
}

void MakeSchema(const FuzzedType& type, const std::string& name, ArrowSchema* out) {
  auto* node = new SchemaNode{type.format, name, {}, {}, {}};
  node->children.resize(type.children.size());
  for (size_t i = 0; i < type.children.size(); ++i) {
    MakeSchema(type.children[i], "f" + std::to_string(i), &node->children[i]);
    node->child_pointers.push_back(&node->children[i]);
  }
  *out = {};
  if (type.dictionary != nullptr) {
    MakeSchema(*type.dictionary, "", &node->dictionary);
    out->dictionary = &node->dictionary;
  }
  out->format = node->format.c_str();
  out->name = node->name.c_str();
  out->flags = ARROW_FLAG_NULLABLE;
  out->n_children = static_cast<int64_t>(node->children.size());
  out->children = node->child_pointers.data();
  out->release = Release<SchemaNode, ArrowSchema>;
  out->private_data = node;
  ++unreleased;
}

void MakeArray(const FuzzedType& type, int64_t length, FuzzInput* in, ArrowArray* out) {
  auto* node = new ArrayNode;
  *out = {};
  out->release = Release<ArrayNode, ArrowArray>;
  out->private_data = node;
  ++unreleased;

  out->length = length;
  out->offset = in->Below(4) == 0 ? in->Below(16) : 0;
  const int64_t rows = out->offset + length;
  int64_t child_rows = rows;
  if (type.format != "n" && !type.format.starts_with("+u")) {
    const bool nulls = in->Below(2) == 1;
    node->buffers.push_back(nulls ? Fill(node, (rows + 7) / 8, in) : nullptr);
    out->null_count = nulls ? -1 : 0;
  } else if (type.format == "n") {
    out->null_count = length;
  }
  if (type.format == "u" || type.format == "z" || type.format == "+l" || type.format == "+m") {
    const int32_t last = FillOffsets(node, rows + 1, in);
    node->buffers.push_back(node->memory.back().get());
    child_rows = std::max(last, 0);
    if (type.format[0] != '+') node->buffers.push_back(Fill(node, child_rows, in));
  } else if (type.format == "b") {
    node->buffers.push_back(Fill(node, (rows + 7) / 8, in));
  } else if (type.format == "U") {
    node->buffers.push_back(Fill(node, (rows + 1) * 8, in));
    node->buffers.push_back(Fill(node, 0, in));
  } else if (type.format != "n" && type.format != "+s") {
    node->buffers.push_back(Fill(node, rows * WidthOf(type.format), in));
  }
  node->children.resize(type.children.size());
  for (size_t i = 0; i < type.children.size(); ++i) {
    MakeArray(type.children[i], child_rows, in, &node->children[i]);
    node->child_pointers.push_back(&node->children[i]);
  }
  if (type.dictionary != nullptr) {
    MakeArray(*type.dictionary, in->Below(kRowsMax), in, &node->dictionary);
    out->dictionary = &node->dictionary;
  }
  // Fewer things than the type asks for; what is announced is there.
  switch (in->Byte()) {
    case 0xff:
      if (!node->buffers.empty()) node->buffers.pop_back();
      break;
    case 0xfe:
      if (!node->child_pointers.empty()) node->child_pointers.pop_back();
      break;
    case 0xfd:
      if (!node->buffers.empty()) node->buffers.back() = nullptr;
      break;
    case 0xfc:
      out->length = std::max<int64_t>(0, length - 1);
      break;
    case 0xfb:
      out->null_count = static_cast<int64_t>(in->Word());
      break;
    case 0xfa:
      out->length = static_cast<int64_t>(in->Word() | (uint64_t{1} << 63));
      break;
    default:
      break;
  }
  out->n_buffers = static_cast<int64_t>(node->buffers.size());
  out->buffers = node->buffers.data();
  out->n_children = static_cast<int64_t>(node->child_pointers.size());
  out->children = node->child_pointers.data();
}

int64_t UnreleasedNodes() { return unreleased; }

}  // namespace headrace
