// Failures that all ranks know of.
#pragma once

#include "core/error.hpp"

namespace triseg {

/// An error that all ranks know of: each may end in its own good order.
class SharedError : public Error {
 public:
  using Error::Error;
};

}  // namespace triseg
