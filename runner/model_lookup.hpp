// Finding and loading the teacher.
#pragma once

#include "data/dataset.hpp"
#include "learner/files/model_file.hpp"

#include <optional>
#include <string>

namespace triseg {

/// The model file `explicit_path` if that is not empty; else the shipped model of this name for this data and scheme:
/// MODEL-DATA.h5 (MODEL-DATA-qnnpack.h5), or whichever was trained on the same images under another name. Shipped
/// models lie in $TRISEG_MODELS and in models/ of the shipped folder (shipped_files.hpp). Works from any working
/// directory. It is checked to be this model, quantized by this scheme, fit for the images and trained
/// on them (by the data set's digest, or by its name where the file has no digest); a file that has neither, as that of
/// an imported network, is taken with a warning. model, backend: empty or nothing stands for those of the file, or where
/// none is named for default_model and fbgemm. Throws Error naming the file and what differs, or the folders it looked
/// at and the models that are there.
ModelFile load_teacher(const std::string& explicit_path, const std::string& model, std::optional<Scheme> backend,
                       const DataSet& data);

}  // namespace triseg
