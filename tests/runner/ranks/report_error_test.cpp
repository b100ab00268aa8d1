#include "runner/ranks/report_error.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace triseg {
namespace {

template <class Action>
std::string message_of_failure(Action action) {
  try {
    action();
  } catch (const std::exception& error) {
    return message_of(error);
  }
  return "";
}

TEST(MessageOf, HasASubject) {
  const std::string name(300, 'x');
  EXPECT_EQ(message_of_failure([&] { static_cast<void>(std::filesystem::is_directory(name)); }),
            name + ": File name too long");
  EXPECT_THAT(message_of_failure([] { throw std::bad_alloc(); }), testing::StartsWith("out of memory: "));
  EXPECT_THAT(message_of_failure([] { std::vector<double>().reserve(std::size_t(-1)); }),
              testing::StartsWith("out of memory: "));
  EXPECT_EQ(message_of_failure([] { throw std::runtime_error("plain"); }), "plain");
}

}  // namespace
}  // namespace triseg
