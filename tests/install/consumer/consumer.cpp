// consumer MODEL.h5: an entry of a table, and the layers of a model's network with the engines that could run it.
#include <triseg/core/codes.hpp>
#include <triseg/learner/files/model_file.hpp>
#include <triseg/worker/engines/engines.hpp>

#include <iostream>

int main(int, char** argv) {
  const triseg::Table table = triseg::staircase({.t1 = 3, .v1 = 7, .t2 = 11, .v2 = 18, .tmax = 24});
  std::cout << "f(12) = " << int{table[12]} << "\n";
  const triseg::QuantizedNetwork network = triseg::load_model(argv[1]);
  std::cout << network.network.name << " " << network.data << "\n";
  for (const auto& [name, kind] : triseg::engine_names()) std::cout << name << "\n";
}
