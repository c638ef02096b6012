#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "headrace/base/bytes.h"
#include "headrace/base/status.h"
#include "headrace/types/data_type.h"

namespace headrace {

/// What a program says of a row type that was stored with other fields.
struct RowHistory {
  std::map<std::string, std::string> renamed;   ///< field -> its former name
  std::set<std::string> dropped;                ///< stored fields that may be let go of
  std::map<std::string, std::string> defaults;  ///< added field -> encoded value; else None
};

/// How stored values of one type become values of another: fields of rows added (with a default),
/// dropped and renamed where the program says so, ints and floats widened (int32 to int64, float32
/// to float64), also in rows within rows and lists.
///
/// Fields go by name, in any order. A stored field that the new type lacks must be named as renamed
/// or dropped, so that a renamed field is never lost in silence.
/// Threading: immutable.
class SchemaEvolution {
 public:
  /// By path of the row: "" is the outermost, "address" its field of that name, "[]" the elements
  /// of a list, joined by dots.
  using History = std::map<std::string, RowHistory>;

  /// kInvalidArgument saying what does not fit.
  static Result<SchemaEvolution> Make(const DataType& from, const DataType& to,
                                      const History& history);
  SchemaEvolution(SchemaEvolution&&);
  SchemaEvolution& operator=(SchemaEvolution&&);
  ~SchemaEvolution();

  /// False when stored bytes are good as they are.
  bool rewrites() const;
  /// Reads one encoded value and appends it as a value of the new type. A value that is no row
  /// where one belongs, such as None, stays as it is.
  Status Migrate(ByteReader* in, ByteWriter* out) const;

 private:
  struct Node;
  explicit SchemaEvolution(std::unique_ptr<Node> root);
  std::unique_ptr<Node> root_;
};

}  // namespace headrace
