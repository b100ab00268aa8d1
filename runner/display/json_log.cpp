#include "runner/display/json_log.hpp"

#include "core/error.hpp"
#include "core/text.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/fmt/chrono.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <sys/stat.h>
#include <unistd.h>

namespace triseg {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::system_clock;

constexpr std::string_view log_begin = R"({"time":)";

std::string iso_time(Clock::time_point time) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(Clock::to_time_t(time)), milliseconds % 1000);
}

/// Opens a log for appending. A pipe that nobody reads is refused, and a file that begins otherwise than a log.
std::FILE* open_log(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
  if (fd < 0) fail("--log-json: cannot write {}: {}", path, std::strerror(errno));
  struct stat opened {};
  std::string begin(log_begin.size(), '\0');
  if (::fstat(fd, &opened) != 0 || S_ISREG(opened.st_mode)) {
    const ssize_t size = ::pread(fd, begin.data(), begin.size(), 0);
    if (size > 0 && begin != log_begin) {
      ::close(fd);
      fail("--log-json: {} is there and is no log of triseg: move it away or choose another", path);
    }
  } else if (S_ISFIFO(opened.st_mode)) {
    ::close(fd);
    fail("--log-json: {} is a pipe: expected a file", path);
  }
  return ::fdopen(fd, "a");
}

class JsonSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit JsonSink(const std::string& path) : file_(open_log(path), &std::fclose) {}

  void write(const Json& json) {
    const std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    const std::lock_guard lock(lines_);
    std::fwrite(line.data(), 1, line.size(), file_.get());
    std::fflush(file_.get());
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const auto level = spdlog::level::to_string_view(message.level);
    write({{"time", iso_time(message.time)},
           {"event", "log"},
           {"level", std::string(level.data(), level.size())},
           {"message", valid_utf8({message.payload.data(), message.payload.size()})}});
  }
  void flush_() override {}

  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::mutex lines_;
};

std::shared_ptr<JsonSink>& sink() {
  static std::shared_ptr<JsonSink> sink;
  return sink;
}

}  // namespace

void log_to_json(const std::string& path) {
  sink() = std::make_shared<JsonSink>(path);
  spdlog::default_logger()->sinks().push_back(sink());
}

void log_event(std::string_view event, std::span<const std::pair<std::string_view, EventValue>> fields) {
  if (!sink()) return;
  Json json = {{"time", iso_time(Clock::now())}, {"event", event}};
  for (const auto& [name, value] : fields)
    std::visit([&, key = std::string(name)](const auto& v) { json[key] = v; }, value);
  sink()->write(json);
}

}  // namespace triseg
