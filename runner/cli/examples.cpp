#include "runner/cli/examples.hpp"

#include <CLI/CLI.hpp>

#include <map>
#include <string>
#include <vector>

namespace triseg {
namespace {

using Lines = std::vector<std::string>;

/// Examples by the names of the subcommands.
const std::map<std::string, Lines>& examples() {
  static const std::map<std::string, Lines> examples = {
      {"triseg search",
       {"triseg search --config configs/alexnet.toml",
        "mpirun -n 2 --bind-to none triseg search --model lenet5 --episodes 3200 --seed 2 --out runs/2"}},
      {"triseg sweep",
       {"triseg sweep configs/sweep-strategies.toml --dry-run",
        "triseg sweep configs/sweep-strategies.toml --out sweeps/strategies --runs-at-once 2"}},
      {"triseg sweep status",
       {"triseg sweep status sweeps/strategies", "triseg sweep status sweeps/strategies --watch 10"}},
      {"triseg sweep top",
       {"triseg sweep top sweeps/strategies",
        "triseg sweep top sweeps/strategies --sort accuracy --where strategy=ppo"}},
      {"triseg sweep collect",
       {"triseg sweep collect sweeps/strategies", "python3 -c 'import pandas; print(pandas.read_csv(\"sweep.csv\"))'"}},
      {"triseg evaluate",
       {"triseg evaluate results/tri_ppo_int_codes/alexnet.json",
        "triseg evaluate alexnet.json --split validation --repair channel --format json"}},
      {"triseg sensitivity",
       {"triseg sensitivity results/tri_ppo_int_codes/alexnet.json",
        "triseg sensitivity alexnet.json --repair layer --out alexnet.sensitivity.json"}},
      {"triseg analyze",
       {"triseg analyze percentiles --model alexnet",
        "triseg analyze coverage results/tri_ppo_int_codes/alexnet.json"}},
      {"triseg analyze percentiles",
       {"triseg analyze percentiles --model alexnet", "triseg analyze percentiles --images 2048 --format json"}},
      {"triseg analyze variance",
       {"triseg analyze variance --model lenet5", "triseg analyze variance --model lenet5 --by-channel"}},
      {"triseg analyze coverage",
       {"triseg analyze coverage results/tri_ppo_int_codes/alexnet.json",
        "triseg analyze coverage alexnet.json --split test --format json"}},
      {"triseg score",
       {"triseg score --model lenet5 < requests.jsonl", "triseg score --config configs/alexnet.toml < requests.jsonl"}},
      {"triseg train",
       {"triseg train --model lenet5 --backend qnnpack --out lenet5-qnnpack.h5",
        "triseg train --model vgg16 --data cifar-10-batches-bin --device cuda --out vgg16.h5"}},
      {"triseg import",
       {"triseg import resnet20.onnx --preprocessing cifar10 --dry-run",
        "triseg import resnet20.onnx --preprocessing cifar10 --out resnet20.h5"}},
      {"triseg repair",
       {"triseg repair results/tri_ppo_int_codes/alexnet.json",
        "triseg repair alexnet.json --repair layer --epochs 4 --out alexnet.repaired.json"}},
      {"triseg pick",
       {"triseg pick results/tri_ppo_int_codes/alexnet.h5 3", "triseg pick stopped.h5 --out best-so-far.json"}},
      {"triseg validate", {"triseg validate results/tri_ppo_int_codes/alexnet.h5", "triseg validate --schema"}},
      {"triseg verify",
       {"triseg verify results/tri_ppo_int_codes/alexnet.h5", "triseg verify alexnet.h5 --all --engine reference"}},
      {"triseg replay", {"triseg replay alexnet.h5 100", "triseg replay alexnet.h5 100 --format json"}},
      {"triseg compare", {"triseg compare runs/1/a.h5 runs/2/a.h5", "triseg compare a.json b.json --split test"}},
      {"triseg show",
       {"triseg show results/tri_ppo_int_codes/alexnet.h5", "triseg show models/lenet5-fashion-mnist.h5"}},
      {"triseg completion", {"source <(triseg completion bash)", "triseg completion zsh > ~/.zfunc/_triseg"}},
      {"triseg doctor", {"triseg doctor", "mpirun -n 2 triseg doctor --config configs/alexnet.toml --transport mpi"}}};
  return examples;
}

void add_below(CLI::App& app, const std::string& name) {
  if (const auto found = examples().find(name); found != examples().end()) {
    std::string text = "Examples:";
    for (const std::string& line : found->second) text += "\n  " + line;
    app.footer(text);
  }
  for (CLI::App* subcommand : app.get_subcommands([](CLI::App*) { return true; }))
    add_below(*subcommand, name + " " + subcommand->get_name());
}

}  // namespace

void add_examples(CLI::App& program) { add_below(program, program.get_name()); }

}  // namespace triseg
