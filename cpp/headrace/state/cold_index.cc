#include "headrace/state/cold_index.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "headrace/base/check.h"

namespace headrace {

namespace {

// Most keys of a leaf, and how many a leaf gets that is cut from a larger one: room to grow.
constexpr size_t kLeafKeysMax = 96;
constexpr size_t kLeafKeysCut = 64;
// A leaf below this is put together with a neighbour, if both fit one cut leaf.
constexpr size_t kLeafKeysMin = 24;
constexpr size_t kChildrenMax = 128;
constexpr size_t kChildrenCut = 96;
constexpr size_t kChildrenMin = 32;

struct LeafEntry {
  std::string_view key;
  RecordPlace place;
};

// Sizes of pieces that `count` things are cut into, none over `max`, about `cut` each.
std::vector<size_t> CutInto(size_t count, size_t max, size_t cut) {
  if (count <= max) return {count};
  const size_t pieces = (count + cut - 1) / cut;
  std::vector<size_t> sizes(pieces, count / pieces);
  for (size_t i = 0; i < count % pieces; ++i) ++sizes[i];
  return sizes;
}

}  // namespace

/// What leaves and inner nodes share: a count of references, and the bytes the index is charged.
class ColdIndex::Node {
 public:
  const bool is_leaf;

  void Ref() { refs_.fetch_add(1, std::memory_order_relaxed); }
  static void Unref(Node* node);
  /// Whether no version and no other node refers to it, seen from one that refers to it itself.
  bool OnlyOne() const { return refs_.load(std::memory_order_acquire) == 1; }
  int64_t bytes() const { return bytes_; }

 protected:
  Node(bool leaf, int64_t bytes, std::atomic<int64_t>* charged)
      : is_leaf(leaf), bytes_(bytes), charged_(charged) {
    charged_->fetch_add(bytes_, std::memory_order_relaxed);
  }
  ~Node() { charged_->fetch_sub(bytes_, std::memory_order_relaxed); }
  void Recharge(int64_t bytes) {
    charged_->fetch_add(bytes - bytes_, std::memory_order_relaxed);
    bytes_ = bytes;
  }

 private:
  std::atomic<uint32_t> refs_{1};
  int64_t bytes_;
  std::atomic<int64_t>* const charged_;
};

/// Keys and places in one allocation: places, then where each key ends, then the keys. Only places
/// ever change.
class ColdIndex::Leaf final : public ColdIndex::Node {
 public:
  static NodeRef Make(std::span<const LeafEntry> entries, std::atomic<int64_t>* charged) {
    size_t key_bytes = 0;
    for (const LeafEntry& entry : entries) key_bytes += entry.key.size();
    const size_t bytes = sizeof(Leaf) + entries.size() * kBytesBesideKey + key_bytes;
    void* memory = ::operator new(bytes);
    Leaf* leaf = new (memory) Leaf(entries.size(), static_cast<int64_t>(bytes), charged);
    uint32_t end = 0;
    char* keys = leaf->keys();
    for (size_t i = 0; i < entries.size(); ++i) {
      leaf->places()[i] = entries[i].place;
      const std::string_view key = entries[i].key;
      if (!key.empty()) std::memcpy(keys + end, key.data(), key.size());
      end += static_cast<uint32_t>(key.size());
      leaf->ends()[i] = end;
    }
    return NodeRef(leaf);
  }

  static constexpr size_t kBytesBesideKey = sizeof(RecordPlace) + sizeof(uint32_t);

  size_t count() const { return count_; }
  std::string_view key(size_t i) const {
    const uint32_t begin = i == 0 ? 0 : ends()[i - 1];
    return {keys() + begin, ends()[i] - begin};
  }
  const RecordPlace& place(size_t i) const { return places()[i]; }
  void set_place(size_t i, const RecordPlace& place) { places()[i] = place; }

  /// The first key that is not smaller.
  size_t LowerBound(std::string_view wanted, size_t from = 0) const {
    size_t low = from;
    size_t high = count_;
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (key(middle) < wanted) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

 private:
  Leaf(size_t count, int64_t bytes, std::atomic<int64_t>* charged)
      : Node(true, bytes, charged), count_(static_cast<uint32_t>(count)) {}

  RecordPlace* places() { return reinterpret_cast<RecordPlace*>(this + 1); }
  const RecordPlace* places() const { return reinterpret_cast<const RecordPlace*>(this + 1); }
  uint32_t* ends() { return reinterpret_cast<uint32_t*>(places() + count_); }
  const uint32_t* ends() const { return reinterpret_cast<const uint32_t*>(places() + count_); }
  char* keys() { return reinterpret_cast<char*>(ends() + count_); }
  const char* keys() const { return reinterpret_cast<const char*>(ends() + count_); }

  const uint32_t count_;
};

class ColdIndex::Inner final : public ColdIndex::Node {
 public:
  Inner(std::vector<Child> children, std::atomic<int64_t>* charged)
      : Node(false, BytesOf(children), charged), children_(std::move(children)) {}

  const std::vector<Child>& children() const { return children_; }
  Child* child(size_t i) { return &children_[i]; }
  void set_children(std::vector<Child> children) {
    children_ = std::move(children);
    Recharge(BytesOf(children_));
  }

  /// The child that has the key, if any has.
  size_t ChildOf(std::string_view key) const {
    const auto after = std::upper_bound(
        children_.begin() + 1, children_.end(), key,
        [](std::string_view wanted, const Child& child) { return wanted < child.first_key; });
    return static_cast<size_t>(after - children_.begin()) - 1;
  }

 private:
  static int64_t BytesOf(const std::vector<Child>& children) {
    size_t bytes = sizeof(Inner) + children.capacity() * sizeof(Child);
    for (const Child& child : children) {
      // Short keys lie in the string itself.
      if (child.first_key.capacity() > 15) bytes += child.first_key.capacity() + 1;
    }
    return static_cast<int64_t>(bytes);
  }

  std::vector<Child> children_;
};

void ColdIndex::Node::Unref(Node* node) {
  if (node == nullptr || node->refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (node->is_leaf) {
    auto* leaf = static_cast<Leaf*>(node);
    leaf->~Leaf();
    ::operator delete(leaf);
  } else {
    delete static_cast<Inner*>(node);
  }
}

ColdIndex::NodeRef::NodeRef(const NodeRef& other) : node_(other.node_) {
  if (node_ != nullptr) node_->Ref();
}
ColdIndex::NodeRef::~NodeRef() { Node::Unref(node_); }

/// One Update(): rebuilds what the changes touch, from the leaves up.
class ColdIndex::Updater {
 public:
  Updater(ColdIndex* index, std::vector<RecordPlace>* replaced)
      : index_(index), replaced_(replaced) {}

  /// Makes the changes below `child` and appends what takes its place. `owned`: nobody else sees
  /// the child, so it may be changed in place.
  void Update(Child child, bool owned, std::span<const IndexChange> changes,
              std::vector<Child>* out) {
    owned = owned && child.node.get()->OnlyOne();
    if (child.node.get()->is_leaf) {
      UpdateLeaf(std::move(child), owned, changes, out);
    } else {
      UpdateInner(std::move(child), owned, changes, out);
    }
  }

  /// Leaves for the entries, in order.
  void MakeLeaves(std::span<const LeafEntry> entries, std::vector<Child>* out) {
    if (entries.empty()) return;
    size_t at = 0;
    for (const size_t size : CutInto(entries.size(), kLeafKeysMax, kLeafKeysCut)) {
      NodeRef leaf = Leaf::Make(entries.subspan(at, size), &index_->total_bytes_);
      index_->newest_bytes_ += leaf.get()->bytes();
      out->push_back({std::string(entries[at].key), std::move(leaf)});
      at += size;
    }
  }

  /// Inner nodes over the children, in order.
  void MakeInners(std::vector<Child> children, std::vector<Child>* out) {
    auto from = children.begin();
    for (const size_t size : CutInto(children.size(), kChildrenMax, kChildrenCut)) {
      const auto to = from + static_cast<std::ptrdiff_t>(size);
      std::vector<Child> part(std::make_move_iterator(from), std::make_move_iterator(to));
      std::string first = part.front().first_key;
      NodeRef inner(new Inner(std::move(part), &index_->total_bytes_));
      index_->newest_bytes_ += inner.get()->bytes();
      out->push_back({std::move(first), std::move(inner)});
      from = to;
    }
  }

 private:
  void Drop(const Child& child) { index_->newest_bytes_ -= child.node.get()->bytes(); }

  void UpdateLeaf(Child child, bool owned, std::span<const IndexChange> changes,
                  std::vector<Child>* out) {
    auto* leaf = static_cast<Leaf*>(child.node.get());
    if (owned && OnlyMovesPlaces(*leaf, changes)) {
      size_t at = 0;
      for (const IndexChange& change : changes) {
        at = leaf->LowerBound(change.key, at);
        replaced_->push_back(leaf->place(at));
        leaf->set_place(at, *change.place);
      }
      out->push_back(std::move(child));
      return;
    }
    std::vector<LeafEntry> merged;
    merged.reserve(leaf->count() + changes.size());
    size_t at = 0;
    for (const IndexChange& change : changes) {
      for (; at < leaf->count() && leaf->key(at) < change.key; ++at) {
        merged.push_back({leaf->key(at), leaf->place(at)});
      }
      if (at < leaf->count() && leaf->key(at) == change.key) {
        replaced_->push_back(leaf->place(at++));
        --index_->keys_;
      }
      if (change.place) {
        merged.push_back({change.key, *change.place});
        ++index_->keys_;
      }
    }
    for (; at < leaf->count(); ++at) merged.push_back({leaf->key(at), leaf->place(at)});
    MakeLeaves(merged, out);
    Drop(child);
  }

  static bool OnlyMovesPlaces(const Leaf& leaf, std::span<const IndexChange> changes) {
    size_t at = 0;
    for (const IndexChange& change : changes) {
      if (!change.place) return false;
      at = leaf.LowerBound(change.key, at);
      if (at == leaf.count() || leaf.key(at) != change.key) return false;
    }
    return true;
  }

  void UpdateInner(Child child, bool owned, std::span<const IndexChange> changes,
                   std::vector<Child>* out) {
    auto* inner = static_cast<Inner*>(child.node.get());
    std::vector<Child> made;
    made.reserve(inner->children().size());
    size_t next = 0;  // the first child that is not in `made` yet
    bool same = true;
    while (!changes.empty()) {
      const size_t i = inner->ChildOf(changes.front().key);
      const auto end =
          i + 1 == inner->children().size()
              ? changes.end()
              : std::lower_bound(changes.begin(), changes.end(), inner->children()[i + 1].first_key,
                                 [](const IndexChange& change, const std::string& key) {
                                   return change.key < key;
                                 });
      const auto count = static_cast<size_t>(end - changes.begin());
      for (; next < i; ++next) made.push_back(Take(inner, owned, next));
      Child old = Take(inner, owned, next++);
      const Node* before = old.node.get();
      const size_t at = made.size();
      Update(std::move(old), owned, changes.subspan(0, count), &made);
      same = same && made.size() == at + 1 && made[at].node.get() == before;
      changes = changes.subspan(count);
    }
    for (; next < inner->children().size(); ++next) made.push_back(Take(inner, owned, next));
    if (owned && same) {
      Drop(child);
      inner->set_children(std::move(made));  // the same ones
      index_->newest_bytes_ += inner->bytes();
      out->push_back(std::move(child));
      return;
    }
    Drop(child);
    JoinSmall(&made);
    if (!made.empty()) MakeInners(std::move(made), out);
  }

  // A child of a node that only the newest tree has is moved out of it, or else the reference that
  // stays behind would make it look shared.
  static Child Take(Inner* inner, bool owned, size_t i) {
    return owned ? std::move(*inner->child(i)) : inner->children()[i];
  }

  // Puts small neighbours together, so that a tree that lost most of its keys lost most of its
  // nodes.
  void JoinSmall(std::vector<Child>* children) {
    std::vector<Child> joined;
    joined.reserve(children->size());
    for (Child& child : *children) {
      if (!joined.empty() && Fit(*joined.back().node.get(), *child.node.get())) {
        Child before = std::move(joined.back());
        joined.pop_back();
        Join(before, child, &joined);
      } else {
        joined.push_back(std::move(child));
      }
    }
    *children = std::move(joined);
  }

  static size_t CountOf(const Node& node) {
    return node.is_leaf ? static_cast<const Leaf&>(node).count()
                        : static_cast<const Inner&>(node).children().size();
  }

  static bool Fit(const Node& a, const Node& b) {
    const size_t both = CountOf(a) + CountOf(b);
    const size_t smaller = std::min(CountOf(a), CountOf(b));
    return a.is_leaf ? smaller < kLeafKeysMin && both <= kLeafKeysCut
                     : smaller < kChildrenMin && both <= kChildrenCut;
  }

  void Join(const Child& a, const Child& b, std::vector<Child>* out) {
    if (a.node.get()->is_leaf) {
      std::vector<LeafEntry> entries;
      for (const Child* child : {&a, &b}) {
        const auto* leaf = static_cast<const Leaf*>(child->node.get());
        for (size_t i = 0; i < leaf->count(); ++i) {
          entries.push_back({leaf->key(i), leaf->place(i)});
        }
      }
      MakeLeaves(entries, out);
    } else {
      std::vector<Child> children = static_cast<const Inner*>(a.node.get())->children();
      for (const Child& child : static_cast<const Inner*>(b.node.get())->children()) {
        children.push_back(child);
      }
      MakeInners(std::move(children), out);
    }
    Drop(a);
    Drop(b);
  }

  ColdIndex* const index_;
  std::vector<RecordPlace>* const replaced_;
};

ColdIndex::ColdIndex() = default;
ColdIndex::~ColdIndex() {
  root_ = NodeRef();
  HR_CHECK_EQ(total_bytes(), 0);  // a version may not outlive its index
}

int64_t ColdIndex::BytesOfNewKey(size_t key_bytes) {
  // Its place in a leaf, and its share of the leaf and of that leaf's line in the node above.
  return static_cast<int64_t>(key_bytes + Leaf::kBytesBesideKey +
                              (sizeof(Leaf) + sizeof(Child) + key_bytes) / kLeafKeysCut + 1);
}

void ColdIndex::Update(std::span<const IndexChange> changes, std::vector<RecordPlace>* replaced) {
  if (changes.empty()) return;
  Updater updater(this, replaced);
  std::vector<Child> top;
  if (root_.get() == nullptr) {
    std::vector<LeafEntry> entries;
    for (const IndexChange& change : changes) {
      if (change.place) entries.push_back({change.key, *change.place});
    }
    keys_ = static_cast<int64_t>(entries.size());
    updater.MakeLeaves(entries, &top);
  } else {
    updater.Update({std::string(), std::move(root_)}, true, changes, &top);
  }
  while (top.size() > 1) {
    std::vector<Child> above;
    updater.MakeInners(std::move(top), &above);
    top = std::move(above);
  }
  root_ = top.empty() ? NodeRef() : std::move(top.front().node);
  // A tree that shrank may end in nodes of one child each.
  while (root_.get() != nullptr && !root_.get()->is_leaf &&
         static_cast<Inner*>(root_.get())->children().size() == 1) {
    NodeRef child = static_cast<Inner*>(root_.get())->children().front().node;
    newest_bytes_ -= root_.get()->bytes();
    root_ = std::move(child);
  }
}

std::optional<RecordPlace> ColdIndex::FindBelow(const Node* node, std::string_view key) {
  if (node == nullptr) return std::nullopt;
  while (!node->is_leaf) {
    const auto* inner = static_cast<const Inner*>(node);
    node = inner->children()[inner->ChildOf(key)].node.get();
  }
  const auto* leaf = static_cast<const Leaf*>(node);
  const size_t at = leaf->LowerBound(key);
  if (at == leaf->count() || leaf->key(at) != key) return std::nullopt;
  return leaf->place(at);
}

void ColdIndex::ReadBelow(const Node* node, std::string_view begin, std::string_view end,
                          const Visitor& visit) {
  struct Step {
    const Inner* inner;
    size_t next;
  };
  std::vector<Step> path;
  bool first = true;
  while (node != nullptr) {
    while (!node->is_leaf) {
      const auto* inner = static_cast<const Inner*>(node);
      const size_t i = first ? inner->ChildOf(begin) : 0;
      path.push_back({inner, i + 1});
      node = inner->children()[i].node.get();
    }
    const auto* leaf = static_cast<const Leaf*>(node);
    for (size_t i = first ? leaf->LowerBound(begin) : 0; i < leaf->count(); ++i) {
      const std::string_view key = leaf->key(i);
      if (!end.empty() && key >= end) return;
      if (!visit(key, leaf->place(i))) return;
    }
    first = false;
    while (!path.empty() && path.back().next == path.back().inner->children().size()) {
      path.pop_back();
    }
    if (path.empty()) return;
    node = path.back().inner->children()[path.back().next++].node.get();
  }
}

}  // namespace headrace
