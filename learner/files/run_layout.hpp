// Reading a run file by its schema: what read_run and validate_run share.
#pragma once

#include "core/hdf5/hdf5.hpp"
#include "learner/files/run_schema.hpp"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace triseg {

inline constexpr const char* selected_group = "/selected";

/// Opens the file and checks format and schema version.
hdf5::File open_run(const std::filesystem::path& path);

/// The schema version of a file that open_run has opened.
int run_version(const hdf5::File& file);

/// What is missing or has another type or shape than the schema says, a line each. L, N, U, E, F, K, R, P, M and C are
/// what the first dataset with them has.
std::vector<std::string> layout_violations(const hdf5::File& file);

/// The attributes that label a dataset: units, long_name, columns, may_differ.
std::vector<std::pair<std::string, Values>> label_attributes(const Field& field);

/// True if the field's attribute or dataset is there.
bool has_field(const hdf5::File& file, const Field& field);
Values read_field(const hdf5::File& file, const Field& field);

/// True if the attribute `status` says so.
bool is_finished(const hdf5::File& file);

/// The paths of the checkpoint's tensors, in the order of their names.
std::vector<std::string> tensor_paths(const hdf5::File& file);

/// The content of an opened run file, possible or not; `name` stands for it in messages.
RunData read_stored(const hdf5::File& file, const std::string& name);

}  // namespace triseg
