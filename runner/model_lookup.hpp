// Finding and loading the teacher.
#pragma once

#include "core/dataset.hpp"
#include "learner/model_file.hpp"

#include <filesystem>
#include <string>

namespace triseg {

/// `explicit_path` if it is not empty; else the shipped model of this name for this data and scheme,
/// MODEL-DATA.h5 (MODEL-DATA-qnnpack.h5), in the first of: $TRISEG_MODELS, ../../../models and ../share/triseg/models from
/// the program's own folder. Works from any working directory. Throws Error naming the folders it looked at.
std::filesystem::path find_model(const std::string& explicit_path, const std::string& model, const std::string& data,
                                 const std::string& backend);

/// The model file that find_model names, checked to be this model, quantized by this scheme, trained on this data and fit
/// for its images. Throws Error naming the file and what differs.
ModelFile load_teacher(const std::string& explicit_path, const std::string& model, const std::string& data_name,
                       const std::string& backend, const DataSet& data);

}  // namespace triseg
