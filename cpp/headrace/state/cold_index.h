#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headrace {

/// Where the record of a key lies: in which of the store's segments, from which byte, how long.
struct RecordPlace {
  uint32_t segment = 0;
  uint32_t offset = 0;
  uint32_t size = 0;
  bool operator==(const RecordPlace&) const = default;
};

/// One change of a ColdIndex; no place: the key goes.
struct IndexChange {
  std::string_view key;
  std::optional<RecordPlace> place;
};

/// Keys in order, and where their records lie: a B+-tree in memory whose old versions stay
/// readable.
///
/// A leaf holds its keys back to back and 16 bytes for each beside its key. MakeVersion() is O(1):
/// a change copies the nodes on its way that a version still sees, and only these.
/// Threading: Update() and MakeVersion() by one thread at a time, with no Find() or Read() of the
/// newest keys at the same time. Versions are read and dropped by any thread meanwhile; they do not
/// outlive the index.
class ColdIndex {
 public:
  using Visitor = std::function<bool(std::string_view key, const RecordPlace&)>;
  class Node;

  /// One counted reference to a node, null or not.
  class NodeRef {
   public:
    NodeRef() = default;
    explicit NodeRef(Node* node) : node_(node) {}  ///< takes over the caller's reference
    NodeRef(const NodeRef& other);
    NodeRef(NodeRef&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    NodeRef& operator=(NodeRef other) noexcept {
      std::swap(node_, other.node_);
      return *this;
    }
    ~NodeRef();
    Node* get() const { return node_; }

   private:
    Node* node_ = nullptr;
  };

  /// The keys as they were at MakeVersion(). Threading: immutable.
  class Version {
   public:
    Version() = default;
    /// Calls `visit` for begin <= key < end (an empty `end`: no bound) in order; false ends it.
    void Read(std::string_view begin, std::string_view end, const Visitor& visit) const {
      ReadBelow(root_.get(), begin, end, visit);
    }

   private:
    friend class ColdIndex;
    explicit Version(NodeRef root) : root_(std::move(root)) {}
    NodeRef root_;
  };

  ColdIndex();
  ~ColdIndex();
  ColdIndex(const ColdIndex&) = delete;
  ColdIndex& operator=(const ColdIndex&) = delete;

  /// Makes the changes; `replaced` gets each place that is no longer named, in order of keys.
  /// REQUIRES: keys ascend strictly.
  void Update(std::span<const IndexChange> changes, std::vector<RecordPlace>* replaced);
  Version MakeVersion() const { return Version(root_); }

  std::optional<RecordPlace> Find(std::string_view key) const {
    return FindBelow(root_.get(), key);
  }
  /// As Version::Read, of the newest keys.
  void Read(std::string_view begin, std::string_view end, const Visitor& visit) const {
    ReadBelow(root_.get(), begin, end, visit);
  }

  int64_t keys() const { return keys_; }
  /// Of the newest keys alone.
  int64_t newest_bytes() const { return newest_bytes_; }
  /// With what only versions hold. Threading: any.
  int64_t total_bytes() const { return total_bytes_.load(std::memory_order_relaxed); }
  /// What a new key of this length adds, about.
  static int64_t BytesOfNewKey(size_t key_bytes);

 private:
  struct Child {
    std::string first_key;  ///< no key of the child is smaller, none of an earlier one as large
    NodeRef node;
  };
  class Leaf;
  class Inner;
  class Updater;

  static std::optional<RecordPlace> FindBelow(const Node* node, std::string_view key);
  static void ReadBelow(const Node* node, std::string_view begin, std::string_view end,
                        const Visitor& visit);

  std::atomic<int64_t> total_bytes_{0};
  int64_t newest_bytes_ = 0;
  int64_t keys_ = 0;
  NodeRef root_;  ///< null: no keys
};

}  // namespace headrace
