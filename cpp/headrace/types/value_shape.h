#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/bytes.h"
#include "headrace/types/column_builder.h"

namespace headrace {

/// The Arrow type that encoded values (value_codec.h) have in common, found by looking at each of
/// them; then appends them to a column of that type. Runs no code and looks up no class: a pickle
/// stays the bytes that it is.
///
///   bool, int, float, str, bytes, date   the column type of the same name (int: int64)
///   naive datetime; with an offset       timestamp[us]; timestamp[us, UTC]
///   time, timedelta, Decimal             time64[us], duration[us], decimal128
///   UUID, member of an enum              string
///   tuple, Row, dataclass, named tuple   struct, of fields f0, f1… where they have no names
///   list, set, frozenset; dict           list; map
///   dict of the same names everywhere,
///   with values of several kinds         struct
///   numpy scalars                        as the number they are
///   pickle                               binary
///
/// None is null. Ints among floats are floats where nothing is lost, unless `distinct_numbers` (in
/// a key, 1 and 1.0 differ). Values of different kinds, and those that have no column type (ints
/// beyond 64 bits, time zones by name), make the column text: what Python's repr() shows.
/// Threading: owned by one thread until Finish(); immutable afterwards.
class ValueShape {
 public:
  explicit ValueShape(bool distinct_numbers = false) : distinct_numbers_(distinct_numbers) {}

  /// Takes the next value of `in` into account. kCorruption when it is malformed.
  Status Add(ByteReader* in);
  /// A value that is not there.
  void AddNull() { root_.nulls = true; }
  /// No more values: settles the type.
  void Finish();

  /// REQUIRES: Finish().
  const DataTypePtr& type() const { return root_.type; }
  /// What the values were: "int", "list of str", "int or str, as text".
  std::string Describe() const { return Describe(root_); }
  /// Appends the next value of `in`, which must be one that was added. REQUIRES: Finish(); `out` is
  /// a builder of type().
  Status Append(ByteReader* in, ColumnBuilder* out) const { return Append(root_, in, out); }

 private:
  enum class Kind : uint8_t {
    kNothing,
    kBool,
    kInt,
    kFloat,
    kStr,
    kBytes,
    kDate,
    kTime,
    kDateTime,
    kZonedDateTime,
    kTimeDelta,
    kDecimal,
    kUuid,
    kEnum,
    kPickle,
    kStruct,
    kList,
    kMap,
    kText,
  };
  struct Node {
    Kind kind = Kind::kNothing;
    bool nulls = false;
    bool wide_ints = false;  ///< an int that no double holds
    bool ints = false;       ///< kFloat: some were ints
    int scale = 0;           ///< kDecimal: most digits behind the point
    int whole_digits = 0;    ///< and before it
    std::set<std::string> seen;
    std::vector<std::string> names;  ///< kStruct; kMap: of the fields of `record`
    std::vector<Node> children;
    bool is_record = false;    ///< kMap: so far every dict had these names, in this order
    std::vector<Node> record;  ///< what their values were
    DataTypePtr type;
  };

  Status Add(Node* node, ByteReader* in, int depth);
  Status AddInt(Node* node, int64_t value, const char* what);
  Status AddDecimal(Node* node, ByteReader* in);
  Status AddZoned(Node* node, bool date_time, ByteReader* in);
  Status AddNumpy(Node* node, ByteReader* in);
  Status AddStruct(Node* node, std::string what, std::vector<std::string> names, ByteReader* in,
                   int depth);
  Status AddRow(Node* node, ByteReader* in, int depth);
  Status AddDataclass(Node* node, ByteReader* in, int depth);
  Status AddItems(Node* node, const char* what, bool map, ByteReader* in, int depth);
  Status AddPairs(Node* node, uint64_t count, bool first, ByteReader* in, int depth);
  /// Takes a pair of a dict as a field of a record. False when it is none.
  Result<bool> AddField(Node* node, size_t index, bool first, ByteReader key, ByteReader value,
                        int depth);
  static bool HasText(const Node& node);
  void Become(Node* node, Kind kind, std::string what) const;
  static void MakeText(Node* node);
  static void Finish(Node* node);
  static std::string Describe(const Node& node);

  static Status Append(const Node& node, ByteReader* in, ColumnBuilder* out);
  static Status AppendText(ByteReader* in, ColumnBuilder* out);
  static Status AppendStruct(const Node& node, uint8_t tag, ByteReader* in, ColumnBuilder* out);

  const bool distinct_numbers_;
  Node root_;
};

}  // namespace headrace
