#include "headrace/types/row_text.h"

#include "headrace/types/dictionary_index.h"
#include "headrace/types/python_text.h"
#include "headrace/types/temporal.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

void AppendTwoDigits(int64_t value, std::string* out) {
  out->push_back(static_cast<char>('0' + value / 10));
  out->push_back(static_cast<char>('0' + value % 10));
}

Status AppendTimestampText(const DataType& type, int64_t value, std::string* out) {
  int64_t micros = 0;
  ZoneOffset zone;
  HR_RETURN_IF_ERROR(MicrosOf(type, value, &micros));
  HR_RETURN_IF_ERROR(ZoneOffsetOf(type, &zone));
  if (__builtin_add_overflow(micros, zone.seconds * 1'000'000, &micros)) {
    return Status::InvalidArgument("timestamp " + std::to_string(value) + " is out of range");
  }
  AppendDateTimeText(micros, out);
  if (zone.aware) {
    const int64_t minutes = (zone.seconds < 0 ? -zone.seconds : zone.seconds) / 60;
    out->push_back(zone.seconds < 0 ? '-' : '+');
    AppendTwoDigits(minutes / 60, out);
    out->push_back(':');
    AppendTwoDigits(minutes % 60, out);
  }
  return Status::Ok();
}

/// The kinds whose text needs no detour; false for the others.
bool AppendPlain(const Column& column, int64_t row, std::string* out) {
  switch (column.type->kind()) {
    case TypeKind::kBool:
      *out += column.BoolAt(row) ? "True" : "False";
      return true;
    case TypeKind::kInt8:
      AppendIntText(column.Values<int8_t>()[row], out);
      return true;
    case TypeKind::kInt16:
      AppendIntText(column.Values<int16_t>()[row], out);
      return true;
    case TypeKind::kInt32:
      AppendIntText(column.Values<int32_t>()[row], out);
      return true;
    case TypeKind::kInt64:
      AppendIntText(column.Values<int64_t>()[row], out);
      return true;
    case TypeKind::kFloat32:
      AppendFloatText(column.Values<float>()[row], out);
      return true;
    case TypeKind::kFloat64:
      AppendFloatText(column.Values<double>()[row], out);
      return true;
    default:
      return false;
  }
}

}  // namespace

Status AppendValueRepr(const Column& column, int64_t row, std::string* out) {
  if (column.IsNull(row)) {
    *out += "None";
    return Status::Ok();
  }
  if (AppendPlain(column, row, out)) return Status::Ok();
  switch (column.type->kind()) {
    case TypeKind::kString:
      AppendStrRepr(column.StringAt(row), out);
      return Status::Ok();
    case TypeKind::kBinary:
      AppendBytesRepr(column.StringAt(row), out);
      return Status::Ok();
    case TypeKind::kObject:
      return Status::InvalidArgument("a column of objects has no text of its own");
    default:
      break;
  }
  // The encoding of state already knows how every other value looks.
  ByteWriter encoded;
  HR_RETURN_IF_ERROR(EncodeColumnValue(column, row, /*as_key=*/false, &encoded));
  *out += DescribeValue(encoded.view());
  return Status::Ok();
}

Status AppendValueStr(const Column& column, int64_t row, std::string* out) {
  if (column.IsNull(row)) return AppendValueRepr(column, row, out);
  switch (column.type->kind()) {
    case TypeKind::kString:
      *out += column.StringAt(row);
      return Status::Ok();
    case TypeKind::kDate32:
      AppendDateText(column.Values<int32_t>()[row], out);
      return Status::Ok();
    case TypeKind::kTime64:
      AppendTimeText(column.Values<int64_t>()[row], out);
      return Status::Ok();
    case TypeKind::kTimestamp:
      return AppendTimestampText(*column.type, column.Values<int64_t>()[row], out);
    case TypeKind::kDuration: {
      TimeDelta delta;
      HR_RETURN_IF_ERROR(TimeDeltaOf(*column.type, column.Values<int64_t>()[row], &delta));
      AppendTimeDeltaText(delta.days, delta.seconds, delta.micros, out);
      return Status::Ok();
    }
    case TypeKind::kDecimal128:
      AppendDecimalText(column.values->data() + (column.offset + row) * 16,
                        DecimalScaleOf(*column.type), out);
      return Status::Ok();
    case TypeKind::kDictionary: {
      const int64_t index = DictionaryIndexAt(column, row);
      if (index >= 0 && index < column.dictionary->length) {
        return AppendValueStr(*column.dictionary, index, out);
      }
      break;
    }
    default:
      break;
  }
  return AppendValueRepr(column, row, out);
}

Status AppendRowText(const RecordBatch& batch, int64_t row, std::string* out) {
  const RecordShape shape = batch.schema->shape();
  if (shape == RecordShape::kScalar) return AppendValueStr(*batch.columns[0], row, out);
  const bool named = shape == RecordShape::kRow;
  *out += named ? "Row(" : "(";
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    if (i > 0) *out += ", ";
    const std::string& name = batch.schema->fields()[i].name;
    if (named) *out += name + "=";
    Status status = AppendValueRepr(*batch.columns[i], row, out);
    if (!status.ok()) return status.WithContext("field '" + name + "'");
  }
  if (!named && batch.columns.size() == 1) out->push_back(',');
  out->push_back(')');
  return Status::Ok();
}

}  // namespace headrace
