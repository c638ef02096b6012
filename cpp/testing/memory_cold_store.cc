#include "testing/memory_cold_store.h"

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "headrace/base/check.h"

namespace headrace {

namespace {

/// A row as it was from `epoch` on; no value: it was removed.
struct Version {
  uint64_t epoch = 0;
  std::optional<std::string> value;
};

using Row = std::pair<std::string, std::string>;

// A walk reads this many rows for each hold of the lock, so that a visitor may call the store.
constexpr size_t kRowsAtOnce = 256;

}  // namespace

class MemoryColdStoreFactory::Store final : public ColdStore {
 public:
  Store(MemoryColdStoreFactory* factory, std::string directory)
      : factory_(factory), directory_(std::move(directory)) {}
  ~Store() override {
    HR_CHECK(views_.empty());  // a view may not outlive its store
    factory_->Release(directory_);
  }

  Status Apply(std::span<const ColdWrite> writes) override {
    HR_RETURN_IF_ERROR(factory_->Pass("apply"));
    const std::lock_guard lock(mutex_);
    ++applies_;
    ++epoch_;
    for (const ColdWrite& write : writes) Put(write);
    return Status::Ok();
  }

  Status MultiGet(std::span<const std::string_view> keys,
                  std::vector<std::optional<std::string>>* values) override {
    HR_RETURN_IF_ERROR(factory_->Pass("multi_get"));
    const std::lock_guard lock(mutex_);
    values->assign(keys.size(), std::nullopt);
    gets_ += static_cast<int64_t>(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto row = rows_.find(keys[i]);
      if (row != rows_.end()) (*values)[i] = row->second.back().value;
    }
    return Status::Ok();
  }

  Status Scan(std::string_view begin, std::string_view end, const ColdVisitor& visit) override {
    return ScanAt(UINT64_MAX, begin, end, visit);
  }

  std::unique_ptr<ColdView> MakeView() override;

  Status ScanAt(uint64_t epoch, std::string_view begin, std::string_view end,
                const ColdVisitor& visit) {
    HR_RETURN_IF_ERROR(factory_->Pass("scan"));
    std::string from(begin);
    std::vector<Row> some;
    do {
      some = ReadSome(epoch, &from, end);
      for (const Row& row : some) {
        if (!visit(row.first, row.second)) return Status::Ok();
      }
    } while (some.size() == kRowsAtOnce);
    return Status::Ok();
  }

  void Forget(uint64_t epoch) {
    const std::lock_guard lock(mutex_);
    views_.erase(views_.find(epoch));
    // Rows that nobody writes again would keep their old versions for ever.
    for (auto row = rows_.begin(); row != rows_.end();) {
      Prune(&row->second);
      row = row->second.empty() ? rows_.erase(row) : std::next(row);
    }
  }

  int64_t memory_bytes() const override { return 0; }
  int64_t disk_bytes() const override {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }
  std::map<std::string, int64_t> Statistics() const override {
    const std::lock_guard lock(mutex_);
    int64_t versions = 0;
    int64_t live = 0;
    for (const auto& [key, row] : rows_) {
      versions += static_cast<int64_t>(row.size());
      live += row.back().value ? 1 : 0;
    }
    return {{"rows", live},        {"versions", versions}, {"views", views_.size()},
            {"applies", applies_}, {"writes", writes_},    {"gets", gets_},
            {"scans", scans_}};
  }

 private:
  void Put(const ColdWrite& write) {
    ++writes_;
    auto row = rows_.find(write.key);
    if (row == rows_.end()) {
      if (!write.value) return;
      row = rows_.emplace(write.key, std::vector<Version>()).first;
    } else if (row->second.back().value) {
      bytes_ -= BytesOf(row->first, *row->second.back().value);
    }
    if (write.value) bytes_ += BytesOf(write.key, *write.value);
    std::optional<std::string> value;
    if (write.value) value.emplace(*write.value);
    row->second.push_back({epoch_, std::move(value)});
    Prune(&row->second);
    if (row->second.empty()) rows_.erase(row);
  }

  static int64_t BytesOf(std::string_view key, std::string_view value) {
    return static_cast<int64_t>(key.size() + value.size());
  }

  // Keeps the newest version, and of the older ones those that an open view sees.
  void Prune(std::vector<Version>* versions) const {
    std::vector<Version> kept;
    for (size_t i = 0; i < versions->size(); ++i) {
      Version& version = (*versions)[i];
      const bool newest = i + 1 == versions->size();
      const uint64_t until = newest ? UINT64_MAX : (*versions)[i + 1].epoch;
      const auto view = views_.lower_bound(version.epoch);
      const bool seen = view != views_.end() && *view < until;
      // A removal says something only where an older version is kept.
      if ((newest || seen) && (version.value || !kept.empty())) kept.push_back(std::move(version));
    }
    *versions = std::move(kept);
  }

  std::vector<Row> ReadSome(uint64_t epoch, std::string* from, std::string_view end) {
    std::vector<Row> some;
    const std::lock_guard lock(mutex_);
    ++scans_;
    for (auto row = rows_.lower_bound(*from); row != rows_.end() && some.size() < kRowsAtOnce;
         ++row) {
      if (!end.empty() && row->first >= end) break;
      const Version* found = nullptr;
      for (const Version& version : row->second) {
        if (version.epoch <= epoch) found = &version;
      }
      if (found != nullptr && found->value) some.emplace_back(row->first, *found->value);
    }
    if (!some.empty()) *from = some.back().first + '\0';
    return some;
  }

  MemoryColdStoreFactory* const factory_;
  const std::string directory_;
  mutable std::mutex mutex_;                                       ///< guards all below
  std::map<std::string, std::vector<Version>, std::less<>> rows_;  ///< versions: oldest first
  std::multiset<uint64_t> views_;                                  ///< epochs of the open ones
  uint64_t epoch_ = 0;                                             ///< of the newest Apply
  int64_t bytes_ = 0;
  int64_t applies_ = 0;
  int64_t writes_ = 0;
  int64_t gets_ = 0;
  int64_t scans_ = 0;
};

class MemoryColdStoreFactory::View final : public ColdView {
 public:
  View(Store* store, uint64_t epoch) : store_(store), epoch_(epoch) {}
  ~View() override { store_->Forget(epoch_); }
  Status Scan(std::string_view begin, std::string_view end, const ColdVisitor& visit) override {
    return store_->ScanAt(epoch_, begin, end, visit);
  }

 private:
  Store* const store_;
  const uint64_t epoch_;
};

std::unique_ptr<ColdView> MemoryColdStoreFactory::Store::MakeView() {
  const std::lock_guard lock(mutex_);
  views_.insert(epoch_);
  return std::make_unique<View>(this, epoch_);
}

Result<std::unique_ptr<ColdStore>> MemoryColdStoreFactory::Open(Env*,
                                                                const ColdStoreOptions& options) {
  HR_RETURN_IF_ERROR(Pass("open"));
  const std::lock_guard lock(mutex_);
  if (!directories_.insert(options.directory).second) {
    return Status::FailedPrecondition("state store: " + options.directory +
                                      " is in use by another store");
  }
  return std::unique_ptr<ColdStore>(std::make_unique<Store>(this, options.directory));
}

size_t MemoryColdStoreFactory::open_stores() const {
  const std::lock_guard lock(mutex_);
  return directories_.size();
}

void MemoryColdStoreFactory::Release(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  directories_.erase(directory);
}

}  // namespace headrace
