#include "headrace/types/row_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "headrace/types/python_text.h"
#include "types/column_of.h"

namespace headrace {
namespace {

std::string Float(double value) {
  std::string out;
  AppendFloatText(value, &out);
  return out;
}

std::string Repr(std::string_view text) {
  std::string out;
  AppendStrRepr(text, &out);
  return out;
}

std::string Str(const Column& column, int64_t row = 0) {
  std::string out;
  const Status status = AppendValueStr(column, row, &out);
  return status.ok() ? out : status.ToString();
}

DataTypePtr Type(TypeKind kind, const char* format) {
  return std::make_shared<const DataType>(kind, format);
}

std::string Decimal(const char* format, int64_t low, int64_t high) {
  auto builder = ColumnBuilder::Make(Type(TypeKind::kDecimal128, format)).value();
  const int64_t words[2] = {low, high};
  builder->AppendFixedBytes({reinterpret_cast<const char*>(words), 16});
  return Str(*builder->Finish());
}

// What Python 3.11 prints for each.
TEST(PythonText, FloatsAreTheShortestThatReadBack) {
  EXPECT_EQ(Float(0.0), "0.0");
  EXPECT_EQ(Float(-0.0), "-0.0");
  EXPECT_EQ(Float(1.0), "1.0");
  EXPECT_EQ(Float(-1.5), "-1.5");
  EXPECT_EQ(Float(0.1), "0.1");
  EXPECT_EQ(Float(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(Float(123456.789), "123456.789");
  EXPECT_EQ(Float(1e15), "1000000000000000.0");
  EXPECT_EQ(Float(1e16), "1e+16");
  EXPECT_EQ(Float(1.5e16), "1.5e+16");
  EXPECT_EQ(Float(1234567890123456.0), "1234567890123456.0");
  EXPECT_EQ(Float(9007199254740993e3), "9.007199254740993e+18");
  EXPECT_EQ(Float(0.0001), "0.0001");
  EXPECT_EQ(Float(0.00012345), "0.00012345");
  EXPECT_EQ(Float(0.00001), "1e-05");
  EXPECT_EQ(Float(1.25e-7), "1.25e-07");
  EXPECT_EQ(Float(1e100), "1e+100");
  EXPECT_EQ(Float(5e-324), "5e-324");
  EXPECT_EQ(Float(std::numeric_limits<double>::max()), "1.7976931348623157e+308");
  EXPECT_EQ(Float(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(Float(-std::numeric_limits<double>::infinity()), "-inf");
  EXPECT_EQ(Float(std::nan("")), "nan");
  EXPECT_EQ(Float(static_cast<double>(0.1f)), "0.10000000149011612");
}

TEST(PythonText, StringsAreQuotedAndEscapedAsInPython) {
  EXPECT_EQ(Repr(""), "''");
  EXPECT_EQ(Repr("it's"), "\"it's\"");
  EXPECT_EQ(Repr("\"it's\""), "'\"it\\'s\"'");
  EXPECT_EQ(Repr("a\\b\n\r\t"), "'a\\\\b\\n\\r\\t'");
  EXPECT_EQ(Repr(std::string_view("\0\x1f\x7f", 3)), "'\\x00\\x1f\\x7f'");
  EXPECT_EQ(Repr("\xc2\x80\xc2\xa0\xc2\xad"), "'\\x80\\xa0\\xad'");
  EXPECT_EQ(Repr("ä日本😀"), "'ä日本😀'");
  EXPECT_EQ(Repr("\xe2\x80\x8b\xe2\x80\xa8"), "'\\u200b\\u2028'");
  EXPECT_EQ(Repr("\xf3\xa0\x80\x81"), "'\\U000e0001'");
  EXPECT_EQ(Repr("\xff\xe6\x97"), "'\\xff\\xe6\\x97'");
}

TEST(PythonText, BigIntegersAreDecimal) {
  const auto text = [](std::string_view bytes) {
    std::string out;
    AppendBigIntText(bytes, &out);
    return out;
  };
  EXPECT_EQ(text(""), "0");
  EXPECT_EQ(text(std::string_view("\0\0", 2)), "0");
  EXPECT_EQ(text(std::string(16, '\xff')), "-1");
  EXPECT_EQ(text(std::string(15, '\0') + '\x80'), "-170141183460469231731687303715884105728");
  EXPECT_EQ(text(std::string(15, '\xff') + '\x7f'), "170141183460469231731687303715884105727");
  EXPECT_EQ(text(std::string(600, 'x')), "<int of 600 bytes>");
}

TEST(PythonText, DecimalsFollowStrOfDecimal) {
  EXPECT_EQ(Decimal("d:5,2", 150, 0), "1.50");
  EXPECT_EQ(Decimal("d:5,2", -5, -1), "-0.05");
  EXPECT_EQ(Decimal("d:5,0", 42, 0), "42");
  EXPECT_EQ(Decimal("d:5,2", 0, 0), "0.00");
  EXPECT_EQ(Decimal("d:20,10", 0, 0), "0E-10");
  EXPECT_EQ(Decimal("d:20,10", 1, 0), "1E-10");
  EXPECT_EQ(Decimal("d:20,10", 123, 0), "1.23E-8");
  EXPECT_EQ(Decimal("d:20,6", 1, 0), "0.000001");
  EXPECT_EQ(Decimal("d:20,7", 1, 0), "1E-7");
  EXPECT_EQ(Decimal("d:5,-3", 12, 0), "1.2E+4");
}

TEST(PythonText, DaysAreCivilDates) {
  const auto date = [](int64_t days) {
    std::string out;
    AppendDateText(days, &out);
    return out;
  };
  EXPECT_EQ(date(0), "1970-01-01");
  EXPECT_EQ(date(-1), "1969-12-31");
  EXPECT_EQ(date(19782), "2024-02-29");
  EXPECT_EQ(date(-719162), "0001-01-01");
  EXPECT_EQ(date(2932896), "9999-12-31");
}

TEST(RowText, ScalarsPrintAsStr) {
  EXPECT_EQ(Str(*Int64s({-5})), "-5");
  EXPECT_EQ(Str(*Int64s({std::nullopt})), "None");
  EXPECT_EQ(Str(*Doubles({2.0})), "2.0");
  EXPECT_EQ(Str(*IntsOf<int64_t>(BoolType(), {0})), "False");
  EXPECT_EQ(Str(*Strings({"it's\n"})), "it's\n");
  EXPECT_EQ(Str(*Strings({"a'"}, BinaryType())), "b\"a'\"");
  EXPECT_EQ(Str(*IntsOf<int64_t>(Date32Type(), {0})), "1970-01-01");
  EXPECT_EQ(Str(*IntsOf<int64_t>(Time64Type(), {3'600'000'001})), "01:00:00.000001");
  EXPECT_EQ(Str(*IntsOf<int64_t>(TimestampMsType(), {1500})), "1970-01-01 00:00:01.500000");
  EXPECT_EQ(Str(*IntsOf<int64_t>(Type(TypeKind::kTimestamp, "tss:-01:30"), {0})),
            "1969-12-31 22:30:00-01:30");
  EXPECT_EQ(Str(*IntsOf<int64_t>(Type(TypeKind::kTimestamp, "tss:UTC"), {0})),
            "1970-01-01 00:00:00+00:00");
  EXPECT_EQ(Str(*IntsOf<int64_t>(Type(TypeKind::kDuration, "tDs"), {86'401})), "1 day, 0:00:01");
  EXPECT_EQ(Str(*IntsOf<int64_t>(Type(TypeKind::kDuration, "tDm"), {-1})),
            "-1 day, 23:59:59.999000");
  EXPECT_EQ(Str(*DictionaryOf<int8_t>(Int8Type(), {0}, Strings({"d"}))), "d");
}

RecordBatch Batch(RecordShape shape, std::vector<ColumnPtr> columns) {
  RecordBatch batch;
  std::vector<Field> fields;
  for (size_t i = 0; i < columns.size(); ++i) {
    fields.push_back({std::string(1, static_cast<char>('a' + i)), columns[i]->type, true});
  }
  batch.schema = std::make_shared<const Schema>(shape, fields);
  batch.num_rows = columns[0]->length;
  batch.columns = std::move(columns);
  return batch;
}

std::string Row(const RecordBatch& batch) {
  std::string out;
  EXPECT_TRUE(AppendRowText(batch, 0, &out).ok());
  return out;
}

TEST(RowText, TuplesAndRowsPrintTheReprOfTheirFields) {
  EXPECT_EQ(Row(Batch(RecordShape::kTuple, {Int64s({1}), Strings({"a"})})), "(1, 'a')");
  EXPECT_EQ(Row(Batch(RecordShape::kTuple, {Int64s({1})})), "(1,)");
  EXPECT_EQ(Row(Batch(RecordShape::kRow, {Int64s({1}), Strings({"x"})})), "Row(a=1, b='x')");
  EXPECT_EQ(Row(Batch(RecordShape::kScalar, {Strings({"x"})})), "x");
  EXPECT_EQ(Row(Batch(RecordShape::kTuple,
                      {IntsOf<int64_t>(Date32Type(), {0}), IntsOf<int64_t>(TimestampMsType(), {0}),
                       IntsOf<int64_t>(Type(TypeKind::kDuration, "tDs"), {0})})),
            "(datetime.date(1970, 1, 1), datetime.datetime(1970, 1, 1, 0, 0), "
            "datetime.timedelta(0))");
}

TEST(RowText, NestedValuesPrintAsContainers) {
  auto list = ColumnBuilder::Make(ListType({"item", StringType()})).value();
  list->children()[0]->AppendString("a");
  list->children()[0]->AppendNull();
  list->CloseList();
  auto pair = ColumnBuilder::Make(StructType({{"x", Int64Type()}})).value();
  pair->children()[0]->AppendInt(3);
  pair->CloseStruct();
  EXPECT_EQ(Row(Batch(RecordShape::kTuple, {list->Finish(), pair->Finish()})),
            "(['a', None], (3,))");
}

TEST(RowText, ObjectsHaveNoTextHere) {
  Column column;
  column.type = ObjectType();
  column.length = 1;
  std::string out;
  EXPECT_EQ(AppendValueStr(column, 0, &out).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace headrace
