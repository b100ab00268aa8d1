// What the sources of this room share of the HDF5 C library. Nothing outside includes it, or hdf5.h.
#pragma once

#include "core/hdf5/hdf5.hpp"

#include <hdf5.h>

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace triseg::hdf5 {

static_assert(sizeof(hid_t) == sizeof(std::int64_t), "Handle holds a hid_t");

/// The turn to use the library, which is not made for several threads; given back with the lock.
std::unique_lock<std::recursive_mutex> turn();

/// The innermost entry of the library's error stack.
std::string library_error();

/// What a failure is about: "run.h5: /episodes/reward".
struct Subject {
  std::string name;

  /// The result of a call; throws Error if it is negative.
  template <class Result>
  Result operator()(const char* call, Result result) const {
    if (result < 0) fail("{}: {} failed: {}", name, call, library_error());
    return result;
  }
};

int close_file(std::int64_t id);
int close_object(std::int64_t id);
int close_dataset(std::int64_t id);
int close_group(std::int64_t id);
int close_attribute(std::int64_t id);
int close_type(std::int64_t id);
int close_space(std::int64_t id);
int close_list(std::int64_t id);

Handle property_list(const Subject& call, hid_t list_class);

/// The sizes of a scalar or an array. Throws Error for another space, and for one that claims to hold more than a file
/// of this size can.
std::vector<std::uint64_t> extent(const Subject& call, hid_t space, std::size_t element_size, std::uint64_t file_size);

/// Throws Error if the dataset's values lie in other files: what a file says is to be in it.
void check_storage(const Subject& call, hid_t dataset);

/// Throws Error if the dataset passes through a filter that the library does not have, of which it would say less.
void check_filters(const Subject& call, hid_t dataset);

}  // namespace triseg::hdf5
