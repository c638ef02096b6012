#include "headrace/base/status.h"

#include "headrace/base/check.h"

namespace headrace {

std::string_view StatusCodeName(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return "Ok";
    case StatusCode::kInvalidArgument:
      return "InvalidArgument";
    case StatusCode::kNotFound:
      return "NotFound";
    case StatusCode::kAlreadyExists:
      return "AlreadyExists";
    case StatusCode::kFailedPrecondition:
      return "FailedPrecondition";
    case StatusCode::kCorruption:
      return "Corruption";
    case StatusCode::kIoError:
      return "IoError";
    case StatusCode::kResourceExhausted:
      return "ResourceExhausted";
    case StatusCode::kCancelled:
      return "Cancelled";
    case StatusCode::kUserError:
      return "UserError";
    case StatusCode::kUnimplemented:
      return "Unimplemented";
    case StatusCode::kInternal:
      return "Internal";
  }
  return "Unknown";
}

Status::Status(StatusCode code, std::string message, std::shared_ptr<StatusPayload> payload) {
  // A Status built with kOk stays Ok; it has no room for a message that nobody would see.
  if (code == StatusCode::kOk) return;
  failure_ = std::make_shared<const Failure>(Failure{code, std::move(message), std::move(payload)});
}

const std::string& Status::message() const {
  // Never destroyed: a status may be printed while static objects go away.
  static const std::string& empty = *new std::string();
  return failure_ ? failure_->message : empty;
}

const std::shared_ptr<StatusPayload>& Status::payload() const {
  static const auto& none = *new std::shared_ptr<StatusPayload>();
  return failure_ ? failure_->payload : none;
}

Status Status::WithContext(std::string_view context) const {
  if (ok()) return *this;
  std::string text(context);
  text += ": ";
  text += failure_->message;
  return Status(failure_->code, std::move(text), failure_->payload);
}

std::string Status::ToString() const {
  std::string text(StatusCodeName(code()));
  if (ok()) return text;
  text += ": ";
  text += failure_->message;
  return text;
}

}  // namespace headrace
