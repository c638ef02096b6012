#include "headrace/types/arrow_bridge.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <thread>

#include "headrace/types/bitmap.h"
#include "testing/test_objects.h"
#include "types/column_of.h"

namespace headrace {
namespace {

RecordBatch BatchOf(std::vector<ColumnPtr> columns) {
  RecordBatch batch;
  std::vector<Field> fields;
  for (size_t i = 0; i < columns.size(); ++i) {
    fields.push_back({"c" + std::to_string(i), columns[i]->type, i % 2 == 0});
  }
  batch.schema = std::make_shared<const Schema>(RecordShape::kRow, fields);
  batch.num_rows = columns[0]->length;
  batch.columns = std::move(columns);
  return batch;
}

/// Export and import again, schema included.
Result<RecordBatch> RoundTrip(const RecordBatch& batch) {
  ArrowSchema c_schema;
  ArrowArray c_array;
  HR_RETURN_IF_ERROR(ExportSchema(*batch.schema, &c_schema));
  HR_RETURN_IF_ERROR(ExportBatch(batch, &c_array));
  auto schema = ImportSchema(c_schema);
  c_schema.release(&c_schema);
  EXPECT_EQ(c_schema.release, nullptr);
  if (!schema.ok()) return schema.status();
  EXPECT_TRUE((*schema)->Equals(*batch.schema)) << (*schema)->ToString();
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    EXPECT_EQ((*schema)->fields()[i].nullable, batch.schema->fields()[i].nullable);
  }
  auto imported = ImportBatch(&c_array, *schema);
  EXPECT_EQ(c_array.release, nullptr);
  return imported;
}

const void* AddressOf(const BufferPtr& buffer) { return buffer ? buffer->data() : nullptr; }

void ExpectSameMemory(const Column& a, const Column& b) {
  if (a.length > 0 && a.type->kind() != TypeKind::kNull) {
    EXPECT_EQ(AddressOf(a.values), AddressOf(b.values));
    if (AddressOf(b.validity) != nullptr) {
      EXPECT_EQ(AddressOf(a.validity), AddressOf(b.validity));
    }
    EXPECT_EQ(a.offset, b.offset);
  }
  ASSERT_EQ(a.children.size(), b.children.size());
  for (size_t i = 0; i < a.children.size(); ++i) ExpectSameMemory(*a.children[i], *b.children[i]);
}

TEST(ArrowBridge, EveryTypeRoundTripsOnTheSameMemory) {
  for (const DataTypePtr& type : NativeTypes()) {
    SCOPED_TRACE(type->ToString());
    for (const ColumnPtr& column :
         {RandomColumn(type, 100, 1), Column::Slice(RandomColumn(type, 100, 2), 13, 70),
          RandomColumn(type, 0, 3)}) {
      auto back = RoundTrip(BatchOf({column}));
      ASSERT_TRUE(back.ok()) << back.status().ToString();
      EXPECT_EQ(back->num_rows, column->length);
      EXPECT_EQ(Texts(*back->columns[0]), Texts(*column));
      EXPECT_EQ(back->columns[0]->type->arrow_format(), type->arrow_format());
      ExpectSameMemory(*column, *back->columns[0]);
    }
  }
}

TEST(ArrowBridge, DictionariesRoundTripWithSignedAndUnsignedIndices) {
  const ColumnPtr values = Strings({"a", std::nullopt, "c"});
  const auto uint32 = std::make_shared<const DataType>(TypeKind::kForeign, "I");
  auto unsigned_column = std::make_shared<Column>(
      *DictionaryOf<int32_t>(Int32Type(), {2, 0, std::nullopt, 1}, values));
  unsigned_column->type = std::make_shared<const DataType>(
      TypeKind::kDictionary, "I",
      std::vector<Field>{{"index", uint32, false}, {"value", StringType(), true}});
  const ColumnPtr signed_column = DictionaryOf<int8_t>(Int8Type(), {2, 0, std::nullopt, 1}, values);
  auto back = RoundTrip(BatchOf({unsigned_column, Column::Slice(signed_column, 0, 4)}));
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  for (const ColumnPtr& column : back->columns) {
    EXPECT_EQ(Texts(*column), (std::vector<std::string>{"'c'", "'a'", "None", "None"}));
    EXPECT_EQ(AddressOf(column->dictionary->data), AddressOf(values->data));
  }
}

/// A hand-made Arrow array whose release is counted; children and dictionary are borrowed.
struct HandMade {
  ArrowArray array{};
  std::vector<const void*> buffers;
  std::vector<ArrowArray*> children;
  int released = 0;

  HandMade(int64_t length, int64_t offset, std::vector<const void*> its_buffers,
           std::vector<HandMade*> its_children = {})
      : buffers(std::move(its_buffers)) {
    array.length = length;
    array.offset = offset;
    array.null_count = -1;
    array.n_buffers = static_cast<int64_t>(buffers.size());
    array.buffers = buffers.data();
    for (HandMade* child : its_children) children.push_back(&child->array);
    array.n_children = static_cast<int64_t>(children.size());
    array.children = children.data();
    array.release = [](ArrowArray* self) {
      ++static_cast<HandMade*>(self->private_data)->released;
      for (int64_t i = 0; i < self->n_children; ++i) {
        if (self->children[i]->release) self->children[i]->release(self->children[i]);
      }
      self->release = nullptr;
    };
    array.private_data = this;
  }
};

SchemaPtr RowSchema(std::vector<DataTypePtr> types) {
  std::vector<Field> fields;
  for (const auto& type : types) fields.push_back({"c" + std::to_string(fields.size()), type});
  return std::make_shared<const Schema>(RecordShape::kRow, fields);
}

TEST(ArrowBridge, OffsetAndNullsOfTheStructMoveIntoTheColumns) {
  const int64_t values[] = {0, 1, 2, 3, 4, 5, 6};
  const uint8_t child_valid[] = {0b1101111};   // row 4 is null
  const uint8_t parent_valid[] = {0b0111011};  // rows 2 and 6 are null
  HandMade child(6, 1, {child_valid, values});
  HandMade root(4, 2, {parent_valid}, {&child});
  {
    auto batch = ImportBatch(&root.array, RowSchema({Int64Type()}));
    ASSERT_TRUE(batch.ok()) << batch.status().ToString();
    EXPECT_EQ(root.array.release, nullptr);
    // Row i of the struct is row 2 + i of the child, which is bit and value 3 + i.
    EXPECT_EQ(Texts(*batch->columns[0]), (std::vector<std::string>{"None", "None", "5", "6"}));
    EXPECT_EQ(AddressOf(batch->columns[0]->values), values);
    EXPECT_EQ(root.released, 0);
    RecordBatch kept = batch->Slice(1, 2);
    batch = Status::Internal("gone");
    EXPECT_EQ(root.released, 0);
    EXPECT_EQ(Texts(*kept.columns[0]), (std::vector<std::string>{"None", "5"}));
    std::thread([moved = std::move(kept)] {}).join();
  }
  EXPECT_EQ(root.released, 1);
  EXPECT_EQ(child.released, 1);
}

TEST(ArrowBridge, ForeignTypesGoThroughUntouched) {
  // large_string: int64 offsets.
  const int64_t offsets[] = {0, 1, 3, 6};
  const char bytes[] = "abbccc";
  HandMade child(3, 0, {nullptr, offsets, bytes});
  HandMade root(3, 0, {nullptr}, {&child});
  const auto type = std::make_shared<const DataType>(TypeKind::kForeign, "U");
  {
    auto batch = ImportBatch(&root.array, RowSchema({type}));
    ASSERT_TRUE(batch.ok());
    EXPECT_EQ(batch->columns[0]->type->kind(), TypeKind::kForeign);
    const int32_t row = 0;
    EXPECT_EQ(batch->Take(&row, 1).status().code(), StatusCode::kUnimplemented);
    ArrowArray first;
    ArrowArray second;
    ASSERT_TRUE(ExportBatch(*batch, &first).ok());
    ASSERT_TRUE(ExportBatch(batch->Slice(1, 2), &second).ok());
    batch = Status::Internal("gone");
    EXPECT_EQ(first.children[0]->buffers[1], offsets);
    EXPECT_EQ(first.children[0]->buffers[2], bytes);
    EXPECT_EQ(first.children[0]->n_buffers, 3);
    EXPECT_EQ(first.children[0]->length, 3);
    first.release(&first);
    EXPECT_EQ(root.released, 0);
    EXPECT_EQ(second.children[0]->offset, 1);
    EXPECT_EQ(second.children[0]->length, 2);
    EXPECT_EQ(second.children[0]->buffers[2], bytes);
    second.release(&second);
  }
  EXPECT_EQ(root.released, 1);
}

TEST(ArrowBridge, ChildMovedOutOfAnExportOutlivesItsParent) {
  const ColumnPtr strings = Strings({"x", "yy"});
  ArrowArray out;
  ASSERT_TRUE(ExportBatch(BatchOf({Int64s({1, 2}), strings}), &out).ok());
  ArrowArray moved = *out.children[1];
  out.children[1]->release = nullptr;
  out.release(&out);
  EXPECT_EQ(moved.length, 2);
  EXPECT_EQ(std::memcmp(moved.buffers[2], "xyy", 3), 0);
  moved.release(&moved);
  EXPECT_EQ(moved.release, nullptr);
}

TEST(ArrowBridge, MisalignedValuesAreCopied) {
  alignas(8) char memory[40] = {};
  const int64_t value = 42;
  std::memcpy(memory + 1, &value, 8);
  HandMade child(1, 0, {nullptr, memory + 1});
  HandMade root(1, 0, {nullptr}, {&child});
  auto batch = ImportBatch(&root.array, RowSchema({Int64Type()}));
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(Texts(*batch->columns[0]), std::vector<std::string>{"42"});
}

TEST(ArrowBridge, EmptyArraysMayComeWithoutMemory) {
  HandMade ints(0, 0, {nullptr, nullptr});
  HandMade strings(0, 3, {nullptr, nullptr, nullptr});
  HandMade root(0, 0, {nullptr}, {&ints, &strings});
  auto batch = ImportBatch(&root.array, RowSchema({Int64Type(), StringType()}));
  ASSERT_TRUE(batch.ok()) << batch.status().ToString();
  EXPECT_EQ(batch->SizeBytes(), 0);
  EXPECT_EQ(batch->columns[1]->length, 0);
}

TEST(ArrowBridge, BitmapWithoutNullsIsDropped) {
  const int64_t values[] = {1, 2, 3};
  const uint8_t valid[] = {0xff};
  HandMade child(3, 0, {valid, values});
  HandMade root(3, 0, {nullptr}, {&child});
  auto batch = ImportBatch(&root.array, RowSchema({Int64Type()}));
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->columns[0]->validity, nullptr);
}

TEST(ArrowBridge, MalformedArraysAreRefusedAndReleased) {
  const int64_t values[] = {1, 2, 3};
  const int32_t offsets[] = {0, 2, 1, -1};
  const auto import = [&](const DataTypePtr& type, std::vector<const void*> buffers,
                          const std::function<void(ArrowArray*, ArrowArray*)>& damage) {
    HandMade child(3, 0, std::move(buffers));
    HandMade root(3, 0, {nullptr}, {&child});
    damage(&root.array, &child.array);
    const StatusCode code = ImportBatch(&root.array, RowSchema({type})).status().code();
    EXPECT_EQ(root.released, 1);
    return code;
  };
  const auto bad = StatusCode::kInvalidArgument;
  const std::vector<const void*> good = {nullptr, values};
  EXPECT_EQ(import(Int64Type(), good, [](auto*, auto*) {}), StatusCode::kOk);
  EXPECT_EQ(import(Int64Type(), good, [](auto*, auto* c) { c->length = -1; }), bad);
  EXPECT_EQ(import(Int64Type(), good, [](auto*, auto* c) { c->length = 2; }), bad);
  EXPECT_EQ(import(Int64Type(), good, [](auto*, auto* c) { c->offset = -1; }), bad);
  EXPECT_EQ(import(Int64Type(), good, [](auto*, auto* c) { c->offset = INT64_MAX; }), bad);
  EXPECT_EQ(import(Int64Type(), good, [](auto*, auto* c) { c->null_count = 4; }), bad);
  EXPECT_EQ(import(Int64Type(), good, [](auto*, auto* c) { c->null_count = 1; }), bad);
  EXPECT_EQ(import(Int64Type(), good, [](auto*, auto* c) { c->n_buffers = 1; }), bad);
  EXPECT_EQ(import(Int64Type(), good, [](auto*, auto* c) { c->buffers = nullptr; }), bad);
  EXPECT_EQ(import(Int64Type(), good, [](auto*, auto* c) { c->n_children = -1; }), bad);
  EXPECT_EQ(import(Int64Type(), good, [](auto*, auto* c) { c->release = nullptr; }), bad);
  EXPECT_EQ(import(Int64Type(), good, [](auto* r, auto*) { r->length = -1; }), bad);
  EXPECT_EQ(import(Int64Type(), good, [](auto* r, auto*) { r->length = 4; }), bad);
  EXPECT_EQ(import(Int64Type(), {nullptr, nullptr}, [](auto*, auto*) {}), bad);
  EXPECT_EQ(import(StringType(), {nullptr, offsets, "abc"}, [](auto*, auto*) {}), bad);
  EXPECT_EQ(
      import(StringType(), {nullptr, offsets + 2, "abc"}, [](auto*, auto* c) { c->length = 1; }),
      bad);
  const int32_t descending[] = {0, 3, 1, 3};
  EXPECT_EQ(import(StringType(), {nullptr, descending, "abc"}, [](auto*, auto*) {}), bad);
  EXPECT_EQ(import(StringType(), {nullptr, values, nullptr},
                   [](auto*, auto* c) {
                     c->offset = 1;
                     c->length = 1;
                   }),
            bad);
  EXPECT_EQ(import(StringType(), {nullptr, offsets}, [](auto*, auto*) {}), bad);
  const auto coded = DictionaryOf<int8_t>(Int8Type(), {0}, Strings({"a"}))->type;
  EXPECT_EQ(import(coded, good, [](auto*, auto*) {}), bad);
}

TEST(ArrowBridge, ListWhoseOffsetsPassItsChildIsRefused) {
  const int32_t offsets[] = {0, 2, 4};
  const int64_t values[] = {1, 2, 3};
  HandMade items(3, 0, {nullptr, values});
  HandMade list(2, 0, {nullptr, offsets}, {&items});
  HandMade root(2, 0, {nullptr}, {&list});
  const auto batch = ImportBatch(&root.array, RowSchema({ListType({"item", Int64Type()})}));
  EXPECT_EQ(batch.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(root.released, 1);
}

TEST(ArrowBridge, ScalarSchemaReadsAnArrayThatIsNoStruct) {
  ArrowSchema c_schema{};
  c_schema.format = "l";
  c_schema.name = "";
  c_schema.release = [](ArrowSchema*) {};
  auto schema = ImportSchema(c_schema);
  ASSERT_TRUE(schema.ok());
  EXPECT_EQ((*schema)->shape(), RecordShape::kScalar);
  EXPECT_EQ((*schema)->fields()[0].name, "value");
  const int64_t values[] = {7, 8, 9};
  HandMade array(2, 1, {nullptr, values});
  auto batch = ImportBatch(&array.array, *schema);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(Texts(*batch->columns[0]), (std::vector<std::string>{"8", "9"}));
  // What we export for a scalar stream is a struct of one column, and comes back too.
  ArrowArray out;
  ASSERT_TRUE(ExportBatch(*batch, &out).ok());
  auto back = ImportBatch(&out, *schema);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(Texts(*back->columns[0]), (std::vector<std::string>{"8", "9"}));
}

TEST(ArrowBridge, UnknownFormatsAreForeignAndKeepTheirFormat) {
  for (const char* format : {"vu", "vz", "U", "Z", "C", "S", "I", "L", "e", "tdm", "tts", "ttn",
                             "w:16", "d:40,2,256", "+us:0,1", "tiM"}) {
    ArrowSchema c_schema{};
    c_schema.format = format;
    c_schema.release = [](ArrowSchema*) {};
    auto schema = ImportSchema(c_schema);
    ASSERT_TRUE(schema.ok()) << format;
    EXPECT_EQ((*schema)->fields()[0].type->kind(), TypeKind::kForeign) << format;
    ArrowSchema out;
    ASSERT_TRUE(ExportSchema(**schema, &out).ok());
    EXPECT_STREQ(out.children[0]->format, format);
    out.release(&out);
  }
}

TEST(ArrowBridge, ObjectColumnsAreRefusedByName) {
  const Status status =
      ExportBatch(BatchOf({Int64s({1}), *Column::OfNulls(ObjectType(), 1)}), nullptr);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("'c1'"), std::string::npos);
}

}  // namespace
}  // namespace headrace
