#include "runner/json_log.hpp"

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
#include <memory>
#include <mutex>

namespace triseg {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::system_clock;

std::string iso_time(Clock::time_point time) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(Clock::to_time_t(time)), milliseconds % 1000);
}

class JsonSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit JsonSink(const std::string& path) : file_(std::fopen(path.c_str(), "a"), &std::fclose) {
    if (!file_) fail("--log-json: cannot write {}: {}", path, std::strerror(errno));
  }

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
