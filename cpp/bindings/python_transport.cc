#include "bindings/python_transport.h"

#include <pybind11/stl.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/errors.h"
#include "bindings/python_bindings.h"
#include "headrace/base/env.h"
#include "headrace/checkpoint/manifest.h"
#include "headrace/storage/safe_path.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

// The current Python error of a call to the transport. The message has been cleaned by the Python
// side; an interrupt keeps its exception, so that whoever waits for the call can raise it again.
Status TransportError() {
  PyRef exception = TakeException();
  PyObject* error = exception.get();
  PyRef text = PyRef::Steal(PyObject_Str(error));
  PyErr_Clear();
  std::string message = TextOf(text.get());
  const auto is = [&](PyObject* type) { return PyErr_GivenExceptionMatches(error, type) != 0; };
  if (is(PyExc_FileExistsError)) return Status::AlreadyExists(std::move(message));
  if (is(PyExc_FileNotFoundError)) return Status::NotFound(std::move(message));
  if (is(PyExc_OSError)) return Status::IoError(std::move(message));
  if (is(FailedPreconditionClass())) return Status::FailedPrecondition(std::move(message));
  if (is(InvalidArgumentClass())) return Status::InvalidArgument(std::move(message));
  if (is(JobCancelledClass())) return Status::Cancelled(std::move(message));
  if (!is(PyExc_Exception)) {
    return {StatusCode::kCancelled, ExceptionText(error),
            std::make_shared<PythonErrorPayload>(std::move(exception))};
  }
  return Status::Internal("checkpoint storage: " + ExceptionText(error));
}

py::bytes DigestBytes(const Digest128& digest) {
  std::string bytes;
  for (const uint64_t half : {digest.low, digest.high}) {
    for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(half >> shift));
  }
  return py::bytes(bytes);
}

// `_core.FileDigest`: the digest of a file that Python reads piece by piece.
class FileDigest {
 public:
  void Update(const py::buffer& bytes) {
    const py::buffer_info info = bytes.request();
    stream_.Update(
        {static_cast<const char*>(info.ptr), static_cast<size_t>(info.size * info.itemsize)});
  }
  py::bytes Digest() const { return DigestBytes(stream_.Digest()); }

 private:
  Hash128Stream stream_;
};

// A question that Python code may ask while the call lasts; afterwards the answer is no.
struct Question {
  CheckpointTransport::StillWanted ask;
};

// A call whose thread may never come back from it.
class Attempt {
 public:
  void End(Status status) {
    const std::lock_guard<std::mutex> guard(mutex_);
    status_ = std::move(status);
    ended_.notify_one();
  }
  Status Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    ended_.wait_for(lock, kFor, [this] { return status_.has_value(); });
    return status_.value_or(Status::IoError("checkpoint storage: no answer"));
  }

 private:
  static constexpr std::chrono::seconds kFor{5};

  std::mutex mutex_;
  std::condition_variable ended_;
  std::optional<Status> status_;
};

class PythonTransport final : public CheckpointTransport,
                              public std::enable_shared_from_this<PythonTransport> {
 public:
  PythonTransport(PyRef transport, std::string uri, bool lists_at_once)
      : transport_(std::move(transport)), uri_(std::move(uri)), lists_at_once_(lists_at_once) {}

  const std::string& uri() const override { return uri_; }

  Status Upload(const std::string& local_directory, const std::vector<StagedFile>& files,
                const StillWanted& still_wanted) override {
    return Call<Status>([&](const py::object& transport) {
      const auto question = std::make_shared<Question>();
      question->ask = still_wanted;
      const py::cpp_function wanted([question] { return question->ask && question->ask(); });
      const struct EndQuestion {
        Question* question;
        ~EndQuestion() { question->ask = nullptr; }
      } end{question.get()};
      if (!question->ask) question->ask = [] { return true; };
      py::list staged;
      for (const StagedFile& file : files) {
        staged.append(py::make_tuple(file.name, DigestBytes(file.digest)));
      }
      transport.attr("upload")(local_directory, staged, wanted);
      return Status::Ok();
    });
  }

  Status Create(const std::string& name, std::string_view bytes) override {
    return Call<Status>([&](const py::object& transport) {
      transport.attr("create")(name, py::bytes(bytes.data(), bytes.size()));
      return Status::Ok();
    });
  }

  Status Replace(const std::string& name, std::string_view bytes) override {
    return Call<Status>([&](const py::object& transport) {
      transport.attr("replace")(name, py::bytes(bytes.data(), bytes.size()));
      return Status::Ok();
    });
  }

  // On a thread of its own: an interpreter that ends ends threads that wait for its lock too, and
  // one in a destructor, as the caller's may be, would abort the process.
  Status TryReplace(const std::string& name, std::string_view bytes) override {
    if (InterpreterIsEnding()) return Status::Cancelled("the interpreter is ending");
    const auto attempt = std::make_shared<Attempt>();
    const auto call = [self = shared_from_this(), attempt, name, content = std::string(bytes)] {
      attempt->End(self->Call<Status>([&](const py::object& transport) {
        transport.attr("try_replace")(name, py::bytes(content));
        return Status::Ok();
      }));
    };
    RealEnv().StartThread("hr-transport", call)->Detach();
    const auto wait = [&] { return attempt->Wait(); };
    return ThreadHoldsGil() ? WithoutGil(wait) : wait();
  }

  bool lists_at_once() const override { return lists_at_once_; }

  Result<std::string> Read(const std::string& name) override {
    return Call<Result<std::string>>([&](const py::object& transport) {
      return Result<std::string>(py::cast<std::string>(py::bytes(transport.attr("read")(name))));
    });
  }

  Result<std::vector<RemoteName>> List() override {
    return Call<Result<std::vector<RemoteName>>>(
        [&](const py::object& transport) { return NamesOf(transport.attr("names")()); });
  }

  Result<std::vector<RemoteName>> Find(const std::vector<std::string>& names) override {
    return Call<Result<std::vector<RemoteName>>>(
        [&](const py::object& transport) { return NamesOf(transport.attr("find")(names)); });
  }

  Status Download(const std::vector<std::string>& names,
                  const std::string& local_directory) override {
    return Call<Status>([&](const py::object& transport) {
      transport.attr("download")(names, local_directory);
      return Status::Ok();
    });
  }

  Status Delete(const std::vector<std::string>& names) override {
    return Call<Status>([&](const py::object& transport) {
      transport.attr("delete")(names);
      return Status::Ok();
    });
  }

  Status RemoveTemporaries() override {
    return Call<Status>([&](const py::object& transport) {
      transport.attr("remove_abandoned")(0.0);
      return Status::Ok();
    });
  }

  std::string Owner() override {
    const auto owner = Call<Result<std::string>>([&](const py::object& transport) {
      return Result<std::string>(py::cast<std::string>(transport.attr("owner")));
    });
    return owner.ok() ? *owner : "";
  }

  bool IsGone(const std::string& owner) override {
    const auto gone = Call<Result<bool>>([&](const py::object& transport) {
      return Result<bool>(py::cast<bool>(transport.attr("is_gone")(owner)));
    });
    return gone.ok() && *gone;
  }

 private:
  static Result<std::vector<RemoteName>> NamesOf(const py::object& pairs) {
    std::vector<RemoteName> names;
    for (auto& [name, size_bytes] :
         py::cast<std::vector<std::pair<std::string, uint64_t>>>(pairs)) {
      names.push_back({std::move(name), size_bytes});
    }
    return names;
  }

  template <typename Outcome, typename Work>
  Outcome Call(const Work& work) {
    if (InterpreterIsEnding()) return Status::Cancelled("the interpreter is ending");
    const GilScope gil;
    try {
      return work(py::reinterpret_borrow<py::object>(transport_.get()));
    } catch (py::error_already_set& error) {
      error.restore();
      return TransportError();
    } catch (const py::cast_error& error) {
      return Status::Internal("checkpoint storage " + uri_ + ": " + error.what());
    }
  }

  const PyRef transport_;
  const std::string uri_;
  const bool lists_at_once_;
};

}  // namespace

std::shared_ptr<CheckpointTransport> MakePythonTransport(PyRef transport) {
  const auto object = py::reinterpret_borrow<py::object>(transport.get());
  return std::make_shared<PythonTransport>(std::move(transport),
                                           py::cast<std::string>(object.attr("uri")),
                                           py::cast<bool>(object.attr("lists_at_once")));
}

void BindTransport(py::module_& module) {
  module.def("sanitize_name", &SanitizeName);
  module.def("manifest_files", [](const py::bytes& content, const std::string& shown_path) {
    const auto bytes = py::cast<std::string>(content);
    const Manifest manifest = ValueOrThrow(ParseManifest(bytes, shown_path));
    py::list files;
    for (const FileManifest& file : manifest.files) {
      files.append(py::make_tuple(file.name, file.size_bytes, DigestBytes(file.digest)));
    }
    return py::make_tuple(manifest.id, manifest.job_key, files);
  });
  py::class_<FileDigest>(module, "FileDigest")
      .def(py::init<>())
      .def("update", &FileDigest::Update)
      .def("digest", &FileDigest::Digest);
}

}  // namespace headrace::bindings
