#include "headrace/types/schema_evolution.h"

#include <gtest/gtest.h>

#include "headrace/types/type_text.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

DataTypePtr Type(const std::string& text) {
  Result<DataTypePtr> type = ParseTypeText(text);
  EXPECT_TRUE(type.ok()) << type.status().ToString();
  return type.ok() ? *type : ObjectType();
}

std::string Encoded(int64_t number) {
  ByteWriter out;
  EncodeInt(number, &out);
  return out.Take();
}
std::string Encoded(const std::string& text) {
  ByteWriter out;
  EncodeStr(text, &out);
  return out.Take();
}

// A row with `names`, or without; `values` are encoded.
std::string Row(const std::vector<std::string>& names, const std::vector<std::string>& values,
                ValueTag tag = ValueTag::kRow) {
  ByteWriter out;
  out.Fixed(static_cast<uint8_t>(tag));
  if (tag == ValueTag::kRow) out.Fixed<uint8_t>(2);
  out.Varint(values.size());
  if (tag == ValueTag::kRow) out.Fixed<uint8_t>(names.empty() ? 0 : 1);
  for (const std::string& name : names) out.String(name);
  for (const std::string& value : values) out.Raw(value);
  return out.Take();
}

std::string Migrated(const SchemaEvolution& evolution, const std::string& value) {
  ByteReader in(value);
  ByteWriter out;
  const Status status = evolution.Migrate(&in, &out);
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(in.done());
  return out.Take();
}

Result<SchemaEvolution> Make(const std::string& from, const std::string& to,
                             const SchemaEvolution::History& history = {}) {
  return SchemaEvolution::Make(*Type(from), *Type(to), history);
}

SchemaEvolution Evolution(const std::string& from, const std::string& to,
                          const SchemaEvolution::History& history = {}) {
  Result<SchemaEvolution> made = Make(from, to, history);
  EXPECT_TRUE(made.ok()) << made.status().ToString();
  return std::move(made).value();
}

std::string Refusal(const std::string& from, const std::string& to,
                    const SchemaEvolution::History& history = {}) {
  const Result<SchemaEvolution> made = Make(from, to, history);
  EXPECT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), StatusCode::kInvalidArgument);
  return made.status().message();
}

TEST(TypeTextTest, ReadsWhatToStringWrites) {
  for (const char* text :
       {"int64", "bool", "float32", "string", "binary", "date32", "object", "time64[us]",
        "list<int8>", "struct<>", "list<list<string>>", "map<key: string, value: int64>",
        "struct<a: int64, b: struct<c: list<float64>>, d e: string>"}) {
    EXPECT_EQ(Type(text)->ToString(), text);
  }
  EXPECT_EQ(Type(TimestampMsType()->ToString())->ToString(), TimestampMsType()->ToString());
}

TEST(TypeTextTest, RefusesWhatDoesNotTellTheType) {
  for (const char* text :
       {"", "int65", "int64 ", "list<", "list<int64", "struct<a>", "struct<a: >",
        "struct<a: int64,b: int64>", "struct<a: int64", "decimal128(3,2)", "struct<a<: int64>"}) {
    EXPECT_EQ(ParseTypeText(text).status().code(), StatusCode::kUnimplemented) << text;
  }
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "list<";
  EXPECT_EQ(ParseTypeText(deep).status().code(), StatusCode::kUnimplemented);
}

TEST(SchemaEvolutionTest, NumbersWidenWithoutRewriting) {
  EXPECT_FALSE(Evolution("int32", "int64").rewrites());
  EXPECT_FALSE(Evolution("float32", "float64").rewrites());
  const SchemaEvolution row =
      Evolution("struct<a: int8, b: float32>", "struct<a: int64, b: float64>");
  EXPECT_FALSE(row.rewrites());
  EXPECT_EQ(Migrated(row, Encoded(5)), Encoded(5));
}

TEST(SchemaEvolutionTest, WhatLosesSomethingIsRefusedByBothTypes) {
  EXPECT_EQ(Refusal("int64", "int32"), "int64 does not become int32");
  EXPECT_EQ(Refusal("float64", "float32"), "float64 does not become float32");
  EXPECT_EQ(Refusal("int32", "float64"), "int32 does not become float64");
  EXPECT_EQ(Refusal("struct<a: struct<b: string>>", "struct<a: struct<b: int64>>"),
            "'a.b': string does not become int64");
  EXPECT_EQ(Refusal("list<string>", "list<binary>"), "'[]': string does not become binary");
}

TEST(SchemaEvolutionTest, FieldsAreAddedWithADefaultAndDroppedWhenNamed) {
  const SchemaEvolution evolution =
      Evolution("struct<a: int64, old: string>", "struct<new: int64, a: int64, none: string>",
                {{"", {.renamed = {}, .dropped = {"old"}, .defaults = {{"new", Encoded(9)}}}}});
  EXPECT_TRUE(evolution.rewrites());
  const std::string none(1, '\0');
  EXPECT_EQ(Migrated(evolution, Row({"a", "old"}, {Encoded(1), Encoded("x")})),
            Row({"new", "a", "none"}, {Encoded(9), Encoded(1), none}));
  EXPECT_EQ(Migrated(evolution, Row({}, {Encoded(1), Encoded("x")})),
            Row({}, {Encoded(9), Encoded(1), none}));
  EXPECT_EQ(Migrated(evolution, Row({}, {Encoded(1), Encoded("x")}, ValueTag::kTuple)),
            Row({}, {Encoded(9), Encoded(1), none}, ValueTag::kTuple));
  EXPECT_EQ(Migrated(evolution, none), none);
}

TEST(SchemaEvolutionTest, NoFieldIsLostInSilence) {
  const std::string why = Refusal("struct<a: int64, town: string>", "struct<a: int64>");
  EXPECT_NE(why.find("'town' is stored and not declared"), std::string::npos) << why;
  EXPECT_NE(why.find("`dropped`"), std::string::npos) << why;
}

TEST(SchemaEvolutionTest, FieldsAreRenamedByTheMappingOnce) {
  const SchemaEvolution::History history = {
      {"", {.renamed = {{"city", "town"}}, .dropped = {}, .defaults = {}}}};
  const SchemaEvolution evolution =
      Evolution("struct<id: int32, town: string>", "struct<id: int64, city: string>", history);
  EXPECT_EQ(Migrated(evolution, Row({"id", "town"}, {Encoded(1), Encoded("x")})),
            Row({"id", "city"}, {Encoded(1), Encoded("x")}));
  // State that was stored since then has the new name.
  EXPECT_FALSE(
      Evolution("struct<id: int32, city: string>", "struct<id: int64, city: string>", history)
          .rewrites());
  EXPECT_NE(Refusal("struct<id: int64>", "struct<id: int64, city: string>", history)
                .find("renamed from 'town', which is not stored"),
            std::string::npos);
}

TEST(SchemaEvolutionTest, RowsInsideOfRowsAndListsEvolve) {
  const SchemaEvolution evolution =
      Evolution("struct<of: struct<a: int64>, all: list<struct<b: int64>>>",
                "struct<of: struct<a: int64, c: int64>, all: list<struct<d: int64>>>",
                {{"of", {.renamed = {}, .dropped = {}, .defaults = {{"c", Encoded(3)}}}},
                 {"all.[]", {.renamed = {{"d", "b"}}, .dropped = {}, .defaults = {}}}});
  const auto list = [](const std::vector<std::string>& items) {
    ByteWriter out;
    out.Fixed(static_cast<uint8_t>(ValueTag::kList));
    out.Varint(items.size());
    for (const std::string& item : items) out.Raw(item);
    return out.Take();
  };
  EXPECT_EQ(Migrated(evolution, Row({"of", "all"},
                                    {Row({"a"}, {Encoded(1)}),
                                     list({Row({"b"}, {Encoded(2)}), Row({"b"}, {Encoded(7)})})})),
            Row({"of", "all"}, {Row({"a", "c"}, {Encoded(1), Encoded(3)}),
                                list({Row({"d"}, {Encoded(2)}), Row({"d"}, {Encoded(7)})})}));
}

TEST(SchemaEvolutionTest, DamagedValuesAreRefused) {
  const SchemaEvolution evolution =
      Evolution("struct<a: int64, b: int64>", "struct<b: int64, a: int64>");
  const std::string whole = Row({"a", "b"}, {Encoded(300), Encoded(70'000)});
  EXPECT_EQ(Migrated(evolution, whole), Row({"b", "a"}, {Encoded(70'000), Encoded(300)}));
  for (size_t size = 0; size < whole.size(); ++size) {
    ByteReader in(std::string_view(whole).substr(0, size));
    ByteWriter out;
    EXPECT_EQ(evolution.Migrate(&in, &out).code(), StatusCode::kCorruption) << size;
  }
}

}  // namespace
}  // namespace headrace
