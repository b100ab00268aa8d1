// triseg train: options, as declared on the command line.
#pragma once

#include "trainer/training.hpp"
#include "worker/engines/engines.hpp"

#include <string>

namespace CLI {
class App;
}

namespace triseg {

struct TrainOptions {
  std::string model = "alexnet";  ///< the name of a shipped recipe, or a file *.toml
  std::string data = "fashion-mnist";
  std::string backend = "fbgemm";
  TrainingOptions training;                   ///< its scheme is set from `backend` by resolve_train_options
  std::string out;                            ///< empty: models/MODEL-DATA.h5, MODEL-DATA-qnnpack.h5
  std::string checkpoint;                     ///< empty: OUT.checkpoint
  EngineKind engine = EngineKind::automatic;  ///< what measures the INT8 accuracy
  double progress_every = 30;                 ///< seconds between plain progress lines
};

/// Declares all options on `app`, bound to `options`, grouped by whether they change results.
void declare_train_options(CLI::App& app, TrainOptions& options);

/// Fills in what was left empty and checks what can be checked without reading a file. Throws Error.
void resolve_train_options(TrainOptions& options);

/// Throws Error unless this process can start what LibTorch starts for `threads` (0: one per core): some of its
/// libraries wait for ever for a thread that a limit forbids.
void ensure_training_threads(int threads);

/// Trains, measures and writes the model; nothing to do if the model is there already, made by equal options from equal
/// data. The exit code: 0, or exit_resumable after a stop signal (runner/ranks/signals.hpp).
int run_train(const TrainOptions& options);

}  // namespace triseg
