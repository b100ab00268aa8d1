// logit_codes MODEL IMAGES: the teacher's logit codes of images that are pixels (N, channels, height, width), by the
// reference engine. Writes scale and zero point of the logits as text, a line, then the codes (N, classes) as bytes.
#include "learner/files/model_file.hpp"
#include "worker/reference_engine.hpp"

#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <vector>

using namespace triseg;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    Problem problem;
    problem.model = load_model(argv[1]);
    const Shape& shape = problem.network().input;
    std::ifstream file(argv[2], std::ios::binary);
    std::vector<std::uint8_t> codes{std::istreambuf_iterator<char>(file), {}};
    const int images = static_cast<int>(codes.size()) / shape.size();
    std::vector<std::array<std::uint8_t, 256>> of_pixel;
    for (int c = 0; c < shape.channels; ++c) of_pixel.push_back(input_codes(problem.model, c));
    for (std::size_t i = 0; i < codes.size(); ++i)
      codes[i] = of_pixel[i / shape.positions() % shape.channels][codes[i]];
    const auto engine = make_reference_engine(problem);
    engine->load_images(codes, images);
    const Student exact = teacher(problem);
    std::vector<ForwardResult> result(1);
    engine->forward(std::span(&exact, 1), result);
    const CodeScale& logits = problem.model.logits();
    std::printf("%.17g %d\n", logits.scale, logits.zero_point);
    std::fwrite(result[0].logit_codes.data(), 1, result[0].logit_codes.size(), stdout);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
