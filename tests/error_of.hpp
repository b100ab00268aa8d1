#pragma once

#include "core/error.hpp"

#include <gtest/gtest.h>

#include <string>

namespace triseg {

/// The message of the Error that `action` throws, checked to be one line. Without an Error the test fails.
template <class Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  }
  ADD_FAILURE() << "expected an Error";
  return "";
}

}  // namespace triseg
