#include "headrace/checkpoint/manifest.h"

#include <algorithm>
#include <limits>

#include "headrace/base/bytes.h"
#include "headrace/base/check.h"
#include "headrace/storage/file_cipher.h"
#include "headrace/storage/safe_path.h"

// A manifest file, version 2; integers little-endian, varint = LEB128, zigzag = varint of a signed
// one, string = varint length and the bytes, digest = XXH3-128 (8 bytes low half, 8 bytes high
// half).
//
//   offset  bytes
//        0      8  magic "HRMANIF" 0x1a
//        8      4  format version; these 32 bytes keep their meaning in every version
//       12      4  flags: 0x01 the body is encrypted (since version 2)
//       16      8  B, length of the body
//       24      4  0
//       28      4  CRC-32C of bytes 0..27
//       32      B  body
//     32+B     16  digest of bytes 0..32+B-1
//     48+B      4  CRC-32C of bytes 0..48+B-1
//
// An encrypted body is: cipher 1 byte (1: AES-256-GCM) | key id string | salt string | check string
// | the body's bytes encrypted, with a tag of 16 bytes; see storage/file_cipher.h.
//
//   body       job key string | id varint | run varint | kind 1 | decision 1 | full 1
//              | created zigzag | parent digest 16 | files | renames | operators
//              | in-flight data string (empty in version 1)
//   files      count varint, each: name string | size varint | digest 16 | checkpoint varint
//              | key id string (since version 2)
//   renames    count varint, each: temporary string | final string | size varint | digest 16
//   operators  count varint, each: id string | name string | kind string | parallelism varint
//              | max parallelism varint | keyed 1 | registry | splits | subtasks
//   registry   count varint, each: name string | fingerprint string | table kind 1 | bytes zigzag
//              | rows zigzag
//   splits     count varint, each: id string | position string | watermark string | rows zigzag
//              | finished 1
//   subtasks   count varint, each: index varint | first key group zigzag | last key group zigzag
//              | finished 1 | state bytes varint | operator state string | tables
//   tables     count varint, each: name string | table kind 1 | state name string
//              | fingerprint string | dictionary string | row bytes varint | live bytes varint
//              | full ids 1 | rows of a partition varint | bytes of a partition varint (both since
//              version 2) | partitions
//   partitions count varint, each a chain: count varint, each: file varint | offset varint
//              | stored varint | raw varint | flags 1 | digest 16; flags: 0x01 whole, and since
//              version 2 in 0x0e the codec's id plus 1, 0 where it is not known

namespace headrace {
namespace {

constexpr std::string_view kMagic("HRMANIF\x1a", 8);
constexpr size_t kTrailerBytes = 20;
constexpr uint8_t kWhole = 0x01;
constexpr int kCodecShift = 1;
constexpr uint32_t kEncrypted = 0x01;
constexpr uint8_t kAes256Gcm = 1;
// A job's name and a checkpoint's number are in the body, which names the file.
constexpr const char* kPlace = "headrace manifest";

void PutDigest(ByteWriter* out, const Digest128& digest) {
  out->Fixed(digest.low);
  out->Fixed(digest.high);
}

void PutChains(ByteWriter* out, const std::vector<std::vector<PartitionRef>>& partitions) {
  out->Varint(partitions.size());
  for (const std::vector<PartitionRef>& chain : partitions) {
    out->Varint(chain.size());
    for (const PartitionRef& ref : chain) {
      out->Varint(ref.file);
      out->Varint(ref.offset);
      out->Varint(ref.stored_bytes);
      out->Varint(ref.raw_bytes);
      const int codec = ref.codec ? static_cast<int>(*ref.codec) + 1 : 0;
      out->Fixed(static_cast<uint8_t>((ref.whole ? kWhole : 0) | codec << kCodecShift));
      PutDigest(out, ref.digest);
    }
  }
}

void PutTable(ByteWriter* out, const TableManifest& table) {
  out->String(table.meta.name);
  out->Fixed(static_cast<uint8_t>(table.meta.kind));
  out->String(table.meta.state_name);
  out->String(table.meta.fingerprint);
  out->String(table.meta.dictionary);
  out->Varint(table.meta.row_bytes);
  out->Varint(table.live_bytes);
  out->Fixed<uint8_t>(table.full_ids);
  out->Varint(table.meta.partition_rows);
  out->Varint(table.meta.partition_bytes);
  PutChains(out, table.partitions);
}

void PutSubtask(ByteWriter* out, const SubtaskManifest& subtask) {
  out->Varint(static_cast<uint64_t>(subtask.index));
  out->ZigZag(subtask.key_groups.first);
  out->ZigZag(subtask.key_groups.last);
  out->Fixed<uint8_t>(subtask.finished);
  out->Varint(subtask.state_bytes);
  out->String(subtask.operator_state);
  out->Varint(subtask.tables.size());
  for (const TableManifest& table : subtask.tables) PutTable(out, table);
}

void PutOperator(ByteWriter* out, const OperatorManifest& op) {
  out->String(op.operator_id);
  out->String(op.name);
  out->String(op.kind);
  out->Varint(static_cast<uint64_t>(op.parallelism));
  out->Varint(static_cast<uint64_t>(op.max_parallelism));
  out->Fixed<uint8_t>(op.keyed);
  out->Varint(op.registry.size());
  for (const StateRegistration& state : op.registry) {
    out->String(state.name);
    out->String(state.fingerprint);
    out->Fixed(static_cast<uint8_t>(state.kind));
    out->ZigZag(state.bytes);
    out->ZigZag(state.rows);
  }
  out->Varint(op.splits.size());
  for (const SplitSnapshot& split : op.splits) {
    out->String(split.id);
    out->String(split.position);
    out->String(split.watermark);
    out->ZigZag(split.rows_read);
    out->Fixed<uint8_t>(split.finished);
  }
  out->Varint(op.subtasks.size());
  for (const SubtaskManifest& subtask : op.subtasks) PutSubtask(out, subtask);
}

void PutBody(ByteWriter* out, const Manifest& manifest) {
  out->String(manifest.job_key);
  out->Varint(manifest.id);
  out->Varint(manifest.run_id);
  out->Fixed(static_cast<uint8_t>(manifest.kind));
  out->Fixed(manifest.decision);
  out->Fixed<uint8_t>(manifest.full);
  out->ZigZag(manifest.created_ms);
  PutDigest(out, manifest.parent_digest);
  out->Varint(manifest.files.size());
  for (const FileManifest& file : manifest.files) {
    out->String(file.name);
    out->Varint(file.size_bytes);
    PutDigest(out, file.digest);
    out->Varint(file.checkpoint);
    out->String(file.key_id);
  }
  out->Varint(manifest.renames.size());
  for (const PendingRename& rename : manifest.renames) {
    out->String(rename.temporary_path);
    out->String(rename.final_path);
    out->Varint(rename.size_bytes);
    PutDigest(out, rename.digest);
  }
  out->Varint(manifest.operators.size());
  for (const OperatorManifest& op : manifest.operators) PutOperator(out, op);
  out->String({});
}

// Reads the body. Each method leaves the first failure in `status_` and from then on does nothing,
// so that the code reads like the drawing; loops end because counts are checked against what is
// left.
class BodyReader {
 public:
  BodyReader(std::string_view body, uint32_t version) : in_(body), version_(version) {}

  Status Read(Manifest* manifest) {
    manifest->job_key = String();
    manifest->id = Varint();
    manifest->run_id = Varint();
    manifest->kind = static_cast<CheckpointKind>(Byte(2, "checkpoint kind"));
    manifest->decision = Byte(1, "decision kind");
    manifest->full = Bool();
    manifest->created_ms = ZigZag();
    manifest->parent_digest = Digest();
    Each(19, &manifest->files, [&](FileManifest* file) { ReadFile(file); });
    files_ = &manifest->files;
    Each(19, &manifest->renames, [&](PendingRename* rename) {
      rename->temporary_path = String();
      rename->final_path = String();
      rename->size_bytes = Varint();
      rename->digest = Digest();
    });
    Each(9, &manifest->operators, [&](OperatorManifest* op) { ReadOperator(op); });
    if (!String().empty()) Fail("holds in-flight data, which this version cannot read");
    if (status_.ok()) status_ = in_.ExpectDone();
    return status_;
  }

  size_t offset() const { return in_.offset(); }

 private:
  void ReadFile(FileManifest* file) {
    file->name = String();
    file->size_bytes = Varint();
    file->digest = Digest();
    file->checkpoint = Varint();
    if (version_ >= 2) file->key_id = String();
    // Joined to a directory later: nothing may lead out of it.
    const Status plain = ValidateRelativeName(file->name);
    if (!plain.ok()) Fail(plain.message());
  }

  void ReadOperator(OperatorManifest* op) {
    op->operator_id = String();
    op->name = String();
    op->kind = String();
    op->parallelism = Int(1, kMaxParallelismLimit, "parallelism");
    op->max_parallelism = Int(1, kMaxParallelismLimit, "max parallelism");
    op->keyed = Bool();
    Each(5, &op->registry, [&](StateRegistration* state) {
      state->name = String();
      state->fingerprint = String();
      state->kind = Kind(TableKind::kOperatorState);
      state->bytes = ZigZag();
      state->rows = ZigZag();
    });
    Each(5, &op->splits, [&](SplitSnapshot* split) {
      split->id = String();
      split->position = String();
      split->watermark = String();
      split->rows_read = ZigZag();
      split->finished = Bool();
    });
    Each(7, &op->subtasks, [&](SubtaskManifest* subtask) { ReadSubtask(subtask); });
  }

  void ReadSubtask(SubtaskManifest* subtask) {
    subtask->index = Int(0, kMaxParallelismLimit, "subtask index");
    subtask->key_groups.first = KeyGroupBound();
    subtask->key_groups.last = KeyGroupBound();
    subtask->finished = Bool();
    subtask->state_bytes = Varint();
    subtask->operator_state = String();
    Each(9, &subtask->tables, [&](TableManifest* table) { ReadTable(table); });
  }

  void ReadTable(TableManifest* table) {
    table->meta.name = String();
    table->meta.kind = Kind(TableKind::kKeyed);
    table->meta.state_name = String();
    table->meta.fingerprint = String();
    table->meta.dictionary = String();
    table->meta.row_bytes = UInt32("row size");
    table->live_bytes = Varint();
    table->full_ids = Bool();
    if (version_ >= 2) {
      table->meta.partition_rows = UInt32("rows of a partition");
      table->meta.partition_bytes = UInt32("bytes of a partition");
    }
    Each(1, &table->partitions, [&](std::vector<PartitionRef>* chain) {
      Each(21, chain, [&](PartitionRef* ref) { ReadRef(ref); });
      if (!chain->empty() && !chain->front().whole) Fail("chain that does not begin with a base");
    });
  }

  void ReadRef(PartitionRef* ref) {
    ref->file = UInt32("file index");
    ref->offset = Varint();
    ref->stored_bytes = UInt32("stored size");
    ref->raw_bytes = UInt32("raw size");
    ReadFlags(ref);
    ref->digest = Digest();
    if (!status_.ok()) return;
    if (ref->file >= files_->size()) return Fail("partition in a file that is not listed");
    const uint64_t size = (*files_)[ref->file].size_bytes;
    if (ref->offset > size || ref->stored_bytes > size - ref->offset) {
      Fail("partition beyond the end of its file");
    }
  }

  void ReadFlags(PartitionRef* ref) {
    constexpr uint8_t kCodecMax = static_cast<uint8_t>(CodecId::kZstd) + 1;
    const uint8_t max = version_ >= 2 ? kWhole | kCodecMax << kCodecShift : kWhole;
    const uint8_t flags = Byte(max, "partition flags");
    ref->whole = (flags & kWhole) != 0;
    const int codec = flags >> kCodecShift;
    if (codec != 0) ref->codec = static_cast<CodecId>(codec - 1);
  }

  template <typename T, typename Read>
  void Each(size_t bytes_each, std::vector<T>* items, const Read& read) {
    uint64_t count = 0;
    if (status_.ok()) status_ = in_.Count(bytes_each, &count);
    if (!status_.ok()) return;
    items->reserve(count);
    for (uint64_t i = 0; i < count && status_.ok(); ++i) read(&items->emplace_back());
  }

  std::string String() {
    std::string_view bytes;
    if (status_.ok()) status_ = in_.String(&bytes);
    return std::string(bytes);
  }
  uint64_t Varint() {
    uint64_t value = 0;
    if (status_.ok()) status_ = in_.Varint(&value);
    return value;
  }
  int64_t ZigZag() {
    int64_t value = 0;
    if (status_.ok()) status_ = in_.ZigZag(&value);
    return value;
  }
  uint8_t Byte(uint8_t max, const char* what) {
    uint8_t value = 0;
    if (status_.ok()) status_ = in_.Fixed(&value);
    if (value > max) Fail(std::string("unknown ") + what);
    return value;
  }
  bool Bool() { return Byte(1, "truth value") != 0; }
  TableKind Kind(TableKind last) {
    const uint8_t kind = Byte(static_cast<uint8_t>(last), "table kind");
    if (kind == 0) Fail("unknown table kind");
    return static_cast<TableKind>(kind);
  }
  Digest128 Digest() {
    Digest128 digest;
    if (status_.ok()) status_ = in_.Fixed(&digest.low);
    if (status_.ok()) status_ = in_.Fixed(&digest.high);
    return digest;
  }
  uint32_t UInt32(const char* what) {
    const uint64_t value = Varint();
    if (value > std::numeric_limits<uint32_t>::max()) Fail(std::string(what) + " out of range");
    return static_cast<uint32_t>(value);
  }
  int Int(uint64_t min, uint64_t max, const char* what) {
    const uint64_t value = Varint();
    if (status_.ok() && (value < min || value > max)) Fail(std::string(what) + " out of range");
    return static_cast<int>(std::min(value, max));
  }
  int KeyGroupBound() {
    const int64_t value = ZigZag();
    if (value < -1 || value >= kMaxParallelismLimit) {
      Fail("key group out of range");
      return 0;
    }
    return static_cast<int>(value);
  }
  void Fail(const std::string& what) {
    if (status_.ok()) status_ = Status::Corruption(what);
  }

  ByteReader in_;
  const uint32_t version_;
  Status status_;
  const std::vector<FileManifest>* files_ = nullptr;
};

uint32_t Fixed32At(std::string_view bytes, size_t offset) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

Status Damaged(const std::string& file, size_t offset, const std::string& what) {
  return Status::Corruption("file " + file + ", offset " + std::to_string(offset) + ": " + what);
}

// Tells a damaged magic from a file that was never ours: with the right magic the header's own
// checksum would hold, or what there is of the file is a beginning of it, or there is nothing at
// all.
Status WrongMagic(std::string_view bytes, const std::string& file) {
  const std::string_view start = bytes.substr(0, kMagic.size());
  if (bytes.find_first_not_of('\0') == std::string_view::npos) {
    return Damaged(file, 0, bytes.empty() ? "the file is empty" : "the file holds zeros only");
  }
  const auto differs = std::mismatch(start.begin(), start.end(), kMagic.begin()).first;
  if (differs == start.end()) return Damaged(file, bytes.size(), "the file ends in its header");
  if (bytes.size() >= kManifestHeaderBytes) {
    std::string repaired(bytes.substr(0, kManifestHeaderBytes - 4));
    repaired.replace(0, kMagic.size(), kMagic);
    if (Crc32c(0, repaired.data(), repaired.size()) == Fixed32At(bytes, kManifestHeaderBytes - 4)) {
      return Damaged(file, static_cast<size_t>(differs - start.begin()), "damaged magic number");
    }
  }
  return Status::FailedPrecondition("file " + file +
                                    ", offset 0: not a headrace checkpoint manifest");
}

// Checks everything but the body's meaning; on success `body` is what lies between header and
// trailer.
Status CheckEnvelope(std::string_view bytes, const std::string& file, std::string_view* body) {
  if (bytes.substr(0, kMagic.size()) != kMagic) return WrongMagic(bytes, file);
  if (bytes.size() < kManifestHeaderBytes) {
    return Damaged(file, bytes.size(), "the file ends in its header");
  }
  if (Crc32c(0, bytes.data(), kManifestHeaderBytes - 4) !=
      Fixed32At(bytes, kManifestHeaderBytes - 4)) {
    return Damaged(file, 0, "the header's checksum does not match");
  }
  const uint32_t version = Fixed32At(bytes, 8);
  if (version > kManifestVersion) {
    return Status::Unimplemented("file " + file + " has manifest format version " +
                                 std::to_string(version) + "; this build reads versions 1 to " +
                                 std::to_string(kManifestVersion) + ": use a newer headrace");
  }
  if (version == 0 || Fixed32At(bytes, 12) > (version >= 2 ? kEncrypted : 0) ||
      Fixed32At(bytes, 24) != 0) {
    return Damaged(file, 8, "impossible header");
  }
  uint64_t body_bytes = 0;
  std::memcpy(&body_bytes, bytes.data() + 16, sizeof(body_bytes));
  const uint64_t room = bytes.size() - kManifestHeaderBytes;
  if (room < kTrailerBytes || body_bytes > room - kTrailerBytes) {
    return Damaged(file, bytes.size(), "the file is cut short");
  }
  const size_t end = kManifestHeaderBytes + static_cast<size_t>(body_bytes);
  if (end + kTrailerBytes != bytes.size()) {
    return Damaged(file, end + kTrailerBytes, "bytes after the end of the manifest");
  }
  Digest128 digest;
  std::memcpy(&digest.low, bytes.data() + end, 8);
  std::memcpy(&digest.high, bytes.data() + end + 8, 8);
  if (Hash128(bytes.substr(0, end)) != digest) {
    return Damaged(file, kManifestHeaderBytes, "the manifest's digest does not match");
  }
  if (Crc32c(0, bytes.data(), end + 16) != Fixed32At(bytes, end + 16)) {
    return Damaged(file, end + 16, "the manifest's checksum does not match");
  }
  *body = bytes.substr(kManifestHeaderBytes, static_cast<size_t>(body_bytes));
  return Status::Ok();
}

}  // namespace

bool OperatorManifest::HasState() const {
  if (!splits.empty()) return true;
  return std::any_of(subtasks.begin(), subtasks.end(), [](const SubtaskManifest& subtask) {
    return !subtask.tables.empty() || !subtask.operator_state.empty();
  });
}

bool Manifest::Finished() const {
  if (kind != CheckpointKind::kSavepoint) return kind == CheckpointKind::kFinal;
  return !operators.empty() && std::all_of(operators.begin(), operators.end(), [](const auto& op) {
    return !op.subtasks.empty() && std::all_of(op.subtasks.begin(), op.subtasks.end(),
                                               [](const auto& one) { return one.finished; });
  });
}

uint64_t Manifest::state_bytes() const {
  uint64_t sum = 0;
  for (const OperatorManifest& op : operators) {
    for (const SubtaskManifest& subtask : op.subtasks) sum += subtask.state_bytes;
  }
  return sum;
}

const OperatorManifest* Manifest::Find(std::string_view operator_id) const {
  for (const OperatorManifest& op : operators) {
    if (op.operator_id == operator_id) return &op;
  }
  return nullptr;
}

namespace {

std::string Enclose(uint32_t flags, std::string_view body) {
  ByteWriter out;
  out.Raw(kMagic);
  out.Fixed<uint32_t>(kManifestVersion);
  out.Fixed<uint32_t>(flags);
  out.Fixed<uint64_t>(body.size());
  out.Fixed<uint32_t>(0);
  out.Fixed<uint32_t>(Crc32c(0, out.view().data(), out.size()));
  HR_CHECK_EQ(out.size(), kManifestHeaderBytes);
  out.Raw(body);
  PutDigest(&out, Hash128(out.view()));
  out.Fixed<uint32_t>(Crc32c(0, out.view().data(), out.size()));
  return out.Take();
}

Result<std::string> OpenBody(std::string_view sealed, const std::string& file,
                             std::string* key_id) {
  ByteReader reader(sealed);
  uint8_t cipher = 0;
  std::string_view id, salt, check, chunk;
  HR_RETURN_IF_ERROR(reader.Fixed(&cipher));
  if (cipher != kAes256Gcm) {
    return Status::Unimplemented("cipher " + std::to_string(cipher) +
                                 "; this build reads cipher 1");
  }
  HR_RETURN_IF_ERROR(reader.String(&id));
  HR_RETURN_IF_ERROR(reader.String(&salt));
  HR_RETURN_IF_ERROR(reader.String(&check));
  HR_RETURN_IF_ERROR(reader.Raw(reader.remaining(), &chunk));
  if (salt.size() != FileKeyHeader::kSaltBytes || check.size() != FileKeyHeader::kCheckBytes) {
    return Status::Corruption("impossible lengths of salt and check");
  }
  *key_id = id;
  HR_ASSIGN_OR_RETURN(const auto opener, FileCipher::ForReading({.key_id = *key_id,
                                                                 .salt = std::string(salt),
                                                                 .check = std::string(check)},
                                                                kPlace, file));
  return opener->Open(0, /*last=*/true, {}, chunk);
}

}  // namespace

std::string SerializeManifest(const Manifest& manifest) {
  ByteWriter body;
  PutBody(&body, manifest);
  return Enclose(0, body.view());
}

Result<std::string> SealManifest(Env* env, const Manifest& manifest, const std::string& key_id) {
  ByteWriter plain;
  PutBody(&plain, manifest);
  HR_ASSIGN_OR_RETURN(const auto cipher, FileCipher::ForWriting(env, key_id, kPlace));
  ByteWriter body;
  body.Fixed(kAes256Gcm);
  body.String(cipher->header().key_id);
  body.String(cipher->header().salt);
  body.String(cipher->header().check);
  HR_RETURN_IF_ERROR(cipher->Seal(0, /*last=*/true, {}, plain.view(), &body.buffer()));
  return Enclose(kEncrypted, body.view());
}

uint64_t SealedManifestExtraBytes(const std::string& key_id) {
  // The cipher, three strings with a length of one byte each, and the tag.
  return 1 + 3 + key_id.size() + FileKeyHeader::kSaltBytes + FileKeyHeader::kCheckBytes +
         FileCipher::kTagBytes;
}

Result<Manifest> ParseManifest(std::string_view bytes, const std::string& file) {
  std::string_view body;
  HR_RETURN_IF_ERROR(CheckEnvelope(bytes, file, &body));
  Manifest manifest;
  std::string opened;
  if (Fixed32At(bytes, 12) == kEncrypted) {
    Result<std::string> plain = OpenBody(body, file, &manifest.key_id);
    if (plain.status().code() == StatusCode::kCorruption) {
      return Damaged(file, kManifestHeaderBytes, plain.status().message());
    }
    HR_ASSIGN_OR_RETURN(opened, std::move(plain));
    body = opened;
  }
  BodyReader reader(body, Fixed32At(bytes, 8));
  const Status status = reader.Read(&manifest);
  if (!status.ok()) return Damaged(file, kManifestHeaderBytes + reader.offset(), status.message());
  manifest.file_bytes = bytes.size();
  return manifest;
}

}  // namespace headrace
