#include "trainer/torch_support.hpp"

#include "core/error.hpp"

namespace triseg {

torch::Device choose_device(const std::string& name) {
  if (name == "cpu") return torch::kCPU;
  if (name != "auto" && name != "cuda") fail("--device: unknown device '{}': expected auto, cpu or cuda", name);
  if (torch::cuda::is_available()) {
    at::globalContext().setDeterministicCuDNN(true);
    return torch::kCUDA;
  }
  if (name == "cuda") fail("--device: no CUDA device is there, or this LibTorch is built without CUDA");
  return torch::kCPU;
}

std::vector<float> to_vector(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.detach().to(torch::kCPU, torch::kFloat32).contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

torch::Tensor image_tensor(std::span<const std::uint8_t> pixels, const PixelValues& pixel_values, const Shape& shape) {
  const std::int64_t channels = shape.channels, plane = shape.positions();
  const std::int64_t n = std::int64_t(pixels.size()) / (channels * plane);
  torch::Tensor result = torch::empty({n, shape.height, shape.width, channels});
  float* out = result.data_ptr<float>();
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto in = pixels.subspan((i * channels + c) * plane, plane);
      for (std::int64_t p = 0; p < plane; ++p) out[(i * plane + p) * channels + c] = pixel_values[c][in[p]];
    }
  return result.permute({0, 3, 1, 2});
}

}  // namespace triseg
