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
  EXPECT_EQ(message_of_failure([] { throw std::runtime_error("plain\nframe #0: inside()"); }), "plain");
}

TEST(ReportError, IsOneLineThatATerminalCanShow) {
  testing::internal::CaptureStderr();
  report_error(std::string_view("a\nb\0c\rd\x1b[2J\n", 12));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "triseg: error: a b\\x00c\\x0dd\\x1b[2J\n");
}

}  // namespace
}  // namespace triseg
