#include "headrace/types/value_shape.h"

#include <gtest/gtest.h>

#include <functional>

#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

using Encode = std::function<void(ByteWriter*)>;

std::string Encoded(const std::vector<Encode>& values) {
  ByteWriter out;
  for (const Encode& value : values) value(&out);
  return out.Take();
}

Encode Int(int64_t value) {
  return [value](ByteWriter* out) { EncodeInt(value, out); };
}
Encode Float(double value) {
  return [value](ByteWriter* out) { EncodeFloat(value, out); };
}
Encode Str(std::string value) {
  return [value](ByteWriter* out) { EncodeStr(value, out); };
}
Encode Sequence(ValueTag tag, std::vector<Encode> values) {
  return [tag, values](ByteWriter* out) {
    out->Fixed(static_cast<uint8_t>(tag));
    out->Varint(values.size());
    for (const Encode& value : values) value(out);
  };
}
Encode Nested(ValueTag tag, int depth, const Encode& innermost) {
  return depth == 0 ? innermost : Sequence(tag, {Nested(tag, depth - 1, innermost)});
}

struct Shown {
  std::string type;
  std::string description;
  ColumnPtr column;
};

Shown Show(const std::vector<Encode>& values, bool distinct_numbers = false) {
  const std::string bytes = Encoded(values);
  ValueShape shape(distinct_numbers);
  ByteReader in(bytes);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_TRUE(shape.Add(&in).ok());
  EXPECT_TRUE(in.done());
  shape.Finish();
  auto builder = ColumnBuilder::Make(shape.type());
  EXPECT_TRUE(builder.ok()) << builder.status().ToString();
  ByteReader again(bytes);
  for (size_t i = 0; i < values.size(); ++i) {
    const Status status = shape.Append(&again, builder->get());
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  EXPECT_TRUE(again.done());
  return {shape.type()->ToString(), shape.Describe(), (*builder)->Finish()};
}

TEST(ValueShape, IntsAmongFloatsAreFloatsUnlessTheyAreKeysOrTooWide) {
  const Shown mixed = Show({Int(1), Float(2.5)});
  EXPECT_EQ(mixed.type, "float64");
  EXPECT_EQ(mixed.column->Values<double>()[0], 1.0);
  EXPECT_EQ(Show({Int(1), Float(2.5)}, /*distinct_numbers=*/true).type, "string");
  EXPECT_EQ(Show({Float(0.5), Int(int64_t{1} << 53)}).type, "float64");
  EXPECT_EQ(Show({Float(0.5), Int((int64_t{1} << 53) + 1)}).type, "string");
  EXPECT_EQ(Show({Int((int64_t{1} << 53) + 1), Float(0.5)}).type, "string");
}

TEST(ValueShape, ValuesOfSeveralKindsAreText) {
  const Shown shown = Show({Int(1), Str("a"), EncodeNone});
  EXPECT_EQ(shown.type, "string");
  EXPECT_EQ(shown.description, "int or str, as text");
  EXPECT_EQ(shown.column->StringAt(0), "1");
  EXPECT_EQ(shown.column->StringAt(1), "'a'");
  EXPECT_TRUE(shown.column->IsNull(2));
}

TEST(ValueShape, StructsNeedTheSameFields) {
  const auto tuple = [](std::vector<Encode> values) {
    return Sequence(ValueTag::kTuple, std::move(values));
  };
  EXPECT_EQ(Show({tuple({Int(1), Str("a")}), tuple({EncodeNone, Str("b")})}).type,
            "struct<f0: int64, f1: string>");
  EXPECT_EQ(Show({tuple({Int(1)}), tuple({Int(1), Int(2)})}).type, "string");
  EXPECT_EQ(Show({tuple({})}).type, "string");
  EXPECT_EQ(Show({tuple(std::vector<Encode>(1000, Int(1)))}).type.substr(0, 6), "struct");
  EXPECT_EQ(Show({tuple(std::vector<Encode>(1001, Int(1)))}).type, "string");
}

Encode Dict(std::vector<std::pair<Encode, Encode>> pairs) {
  return [pairs](ByteWriter* out) {
    out->Fixed(static_cast<uint8_t>(ValueTag::kDict));
    out->Varint(pairs.size());
    for (const auto& [key, value] : pairs) {
      key(out);
      value(out);
    }
  };
}

TEST(ValueShape, DictsOfTheSameNamesAreStructsWhereTheirValuesDiffer) {
  const Shown records = Show({Dict({{Str("n"), Int(1)}, {Str("s"), Str("a")}}),
                              Dict({{Str("n"), EncodeNone}, {Str("s"), Str("b")}})});
  EXPECT_EQ(records.type, "struct<n: int64, s: string>");
  EXPECT_EQ(records.description, "dict(n: int, s: str)");
  EXPECT_EQ(records.column->children[1]->StringAt(1), "b");
  EXPECT_TRUE(records.column->children[0]->IsNull(1));
  EXPECT_EQ(Show({Dict({{Str("n"), Int(1)}, {Str("m"), Int(2)}})}).type,
            "map<key: string, value: int64>");
  // Other names, another order, fewer, none, and keys that are no names.
  const Encode one = Dict({{Str("n"), Int(1)}, {Str("s"), Str("a")}});
  for (const Encode& other :
       {Dict({{Str("n"), Int(1)}, {Str("t"), Str("a")}}),
        Dict({{Str("s"), Str("a")}, {Str("n"), Int(1)}}), Dict({{Str("n"), Int(1)}}), Dict({}),
        Dict({{Str("n"), Int(1)}, {Int(5), Str("a")}})}) {
    EXPECT_EQ(Show({one, other}).type.substr(0, 4), "map<");
    EXPECT_EQ(Show({other, one}).type.substr(0, 4), "map<");
  }
}

TEST(ValueShape, NestedDictsDoNotMultiplyTheWork) {
  Encode value = Int(1);
  for (int i = 0; i < 30; ++i) value = Dict({{Str("a"), value}, {Str("b"), Str("x")}});
  const Shown shown = Show({value});
  EXPECT_EQ(shown.type.substr(0, 10), "struct<a: ");
}

TEST(ValueShape, DeepValuesEndAsText) {
  const Shown shown = Show({Nested(ValueTag::kList, 150, Int(7))});
  std::string inner = shown.type;
  int lists = 0;
  while (inner.starts_with("list<")) {
    inner = inner.substr(5, inner.size() - 6);
    ++lists;
  }
  EXPECT_EQ(inner, "string");
  EXPECT_LE(lists, 33);
  EXPECT_GE(lists, 32);
  ValueShape shape;
  const std::string too_deep = Encoded({Nested(ValueTag::kList, 201, Int(7))});
  ByteReader in(too_deep);
  EXPECT_EQ(shape.Add(&in).code(), StatusCode::kCorruption);
}

TEST(ValueShape, PicklesStayBytes) {
  const auto pickle = [](ByteWriter* out) {
    out->Fixed(static_cast<uint8_t>(ValueTag::kPickle));
    out->String("cos\nsystem\n(V:\ntR.");
  };
  const Shown shown = Show({pickle});
  EXPECT_EQ(shown.type, "binary");
  EXPECT_EQ(shown.column->StringAt(0), "cos\nsystem\n(V:\ntR.");
  EXPECT_EQ(Show({pickle, Int(1)}).column->StringAt(0), "pickle(18 bytes)");
}

TEST(ValueShape, TextThatIsNotUtf8IsRefusedWhereAColumnWouldHoldIt) {
  for (const ValueTag tag : {ValueTag::kStr, ValueTag::kDecimal}) {
    ByteWriter out;
    out.Fixed(static_cast<uint8_t>(tag));
    out.String("\xff\xfe");
    ValueShape shape;
    ByteReader in(out.view());
    EXPECT_EQ(shape.Add(&in).code(), StatusCode::kCorruption);
  }
}

TEST(ValueShape, EveryCutOfAValueIsRefused) {
  const std::string whole =
      Encoded({Sequence(ValueTag::kDict, {Str("k"), Sequence(ValueTag::kTuple, {Int(300)}),
                                          Str("l"), Sequence(ValueTag::kTuple, {Float(1)})})});
  // Sequence() counted keys and values; a dict counts pairs.
  std::string bytes = whole;
  bytes[1] = 2;
  ValueShape shape;
  ByteReader in(bytes);
  ASSERT_TRUE(shape.Add(&in).ok());
  for (size_t size = 0; size < bytes.size(); ++size) {
    ValueShape cut;
    ByteReader part(std::string_view(bytes).substr(0, size));
    EXPECT_EQ(cut.Add(&part).code(), StatusCode::kCorruption) << size;
  }
}

TEST(ValueShape, NothingButNoneIsNull) {
  const Shown shown = Show({EncodeNone, EncodeNone});
  EXPECT_EQ(shown.type, "null");
  EXPECT_EQ(shown.description, "None");
  EXPECT_EQ(shown.column->length, 2);
}

}  // namespace
}  // namespace headrace
