#pragma once

#include <cassert>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace headrace {

/// Why an operation failed. The binding layer maps each code to one Python exception class.
enum class StatusCode : unsigned char {
  kOk = 0,
  kInvalidArgument,     ///< The user's argument or input is wrong; retrying cannot help.
  kNotFound,            ///< A named thing does not exist.
  kAlreadyExists,       ///< A name that had to be free is taken.
  kFailedPrecondition,  ///< Valid request, wrong moment or place (directory in use, job finished).
  kCorruption,          ///< Stored bytes are damaged or foreign; the message names file and offset.
  kIoError,             ///< The operating system or a remote store failed; may work later.
  kResourceExhausted,   ///< A configured or physical limit (memory, disk, descriptors) was hit.
  kCancelled,           ///< The job was asked to stop.
  kUserError,           ///< A user function raised; the payload carries the original exception.
  kUnimplemented,       ///< The request is legal but this build cannot do it.
  kInternal,            ///< A bug in headrace.
};

/// Name of a code as it appears in messages, e.g. "InvalidArgument".
std::string_view StatusCodeName(StatusCode code);

/// Opaque extra carried by a Status, e.g. the Python exception of a failed user function.
class StatusPayload {
 public:
  virtual ~StatusPayload() = default;
};

/// Outcome of an operation that can fail for reasons outside the program. Ok costs one null
/// pointer.
///
/// Messages say what was tried, the value that was wrong, and what to do. Context is added from the
/// inside out: `status.WithContext("operator 'Sum' (subtask 0)")`.
/// Threading: immutable; copies share the failure.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message, std::shared_ptr<StatusPayload> payload = nullptr);

  static Status Ok() { return Status(); }
  static Status InvalidArgument(std::string m) {
    return {StatusCode::kInvalidArgument, std::move(m)};
  }
  static Status NotFound(std::string m) { return {StatusCode::kNotFound, std::move(m)}; }
  static Status AlreadyExists(std::string m) { return {StatusCode::kAlreadyExists, std::move(m)}; }
  static Status FailedPrecondition(std::string m) {
    return {StatusCode::kFailedPrecondition, std::move(m)};
  }
  static Status Corruption(std::string m) { return {StatusCode::kCorruption, std::move(m)}; }
  static Status IoError(std::string m) { return {StatusCode::kIoError, std::move(m)}; }
  static Status ResourceExhausted(std::string m) {
    return {StatusCode::kResourceExhausted, std::move(m)};
  }
  static Status Cancelled(std::string m) { return {StatusCode::kCancelled, std::move(m)}; }
  static Status UserError(std::string m, std::shared_ptr<StatusPayload> payload) {
    return {StatusCode::kUserError, std::move(m), std::move(payload)};
  }
  static Status Unimplemented(std::string m) { return {StatusCode::kUnimplemented, std::move(m)}; }
  static Status Internal(std::string m) { return {StatusCode::kInternal, std::move(m)}; }

  bool ok() const { return failure_ == nullptr; }
  StatusCode code() const { return failure_ ? failure_->code : StatusCode::kOk; }
  const std::string& message() const;
  const std::shared_ptr<StatusPayload>& payload() const;

  /// The same failure with "`context`: " in front of its message; Ok stays Ok.
  Status WithContext(std::string_view context) const;

  /// "Corruption: file x, offset 12: …", or "Ok".
  std::string ToString() const;

 private:
  struct Failure {
    StatusCode code;
    std::string message;
    std::shared_ptr<StatusPayload> payload;
  };
  std::shared_ptr<const Failure> failure_;
};

/// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : outcome_(std::move(value)) {}        // NOLINT: implicit by design
  Result(Status status) : outcome_(std::move(status)) {  // NOLINT: implicit by design
    assert(!std::get<Status>(outcome_).ok() && "a Result without a value needs a failure");
  }

  bool ok() const { return outcome_.index() == 0; }
  Status status() const { return ok() ? Status::Ok() : std::get<1>(outcome_); }

  /// REQUIRES: ok().
  T& value() & { return std::get<0>(outcome_); }
  const T& value() const& { return std::get<0>(outcome_); }
  T&& value() && { return std::get<0>(std::move(outcome_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Status> outcome_;
};

}  // namespace headrace

#define HR_CONCAT_INNER(a, b) a##b
#define HR_CONCAT(a, b) HR_CONCAT_INNER(a, b)

/// Returns from the enclosing function when `expr` (a Status) failed.
#define HR_RETURN_IF_ERROR(expr)             \
  do {                                       \
    ::headrace::Status hr_status_ = (expr);  \
    if (!hr_status_.ok()) return hr_status_; \
  } while (false)

/// `HR_ASSIGN_OR_RETURN(auto x, F());` binds the value of a Result or returns its failure.
#define HR_ASSIGN_OR_RETURN(lhs, expr) \
  HR_ASSIGN_OR_RETURN_IMPL(HR_CONCAT(hr_result_, __LINE__), lhs, expr)
#define HR_ASSIGN_OR_RETURN_IMPL(result, lhs, expr) \
  auto result = (expr);                             \
  if (!result.ok()) return result.status();         \
  lhs = std::move(result).value()
