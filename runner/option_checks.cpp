#include "runner/option_checks.hpp"

#include "core/error.hpp"
#include "worker/engines/engines.hpp"

#include <filesystem>
#include <utility>

namespace triseg {

CLI::Validator within(double least, double most) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        const auto number = number_in<double>(text);
        if (number && *number >= least && *number <= most) return {};
        return fmt::format("expected a number from {:g} to {:g}, found '{}'", least, most, text);
      },
      "");
}

CLI::Validator whole(std::int64_t least, std::uint64_t most) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        const auto in_range = [&](auto n) { return std::cmp_greater_equal(n, least) && std::cmp_less_equal(n, most); };
        const auto positive = number_in<std::uint64_t>(text);
        const auto negative = number_in<std::int64_t>(text);
        if ((positive && in_range(*positive)) || (negative && in_range(*negative))) return {};
        return fmt::format("expected a whole number from {} to {}, found '{}'", least, most, text);
      },
      "");
}

CLI::Validator not_empty(const std::string& expected) {
  return CLI::Validator([=](std::string& text) { return text.empty() ? fmt::format("expected {}, found ''", expected) : ""; }, "");
}

bool same_file(const std::string& a, const std::string& b) {
  namespace fs = std::filesystem;
  return fs::weakly_canonical(fs::absolute(a)) == fs::weakly_canonical(fs::absolute(b));
}

std::string engine_choices() { return fmt::format("auto, {}", fmt::join(engine_names(), ", ")); }

}  // namespace triseg
