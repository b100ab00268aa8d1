// A network as data: layer names and shapes. Everything that runs a network, stores it or reports on it derives from
// here.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace triseg {

enum class LayerKind { convolution, fully_connected };

/// One layer: a convolution or matrix product, then an optional ReLU, then optional max-pooling.
struct Layer {
  std::string name;
  LayerKind kind = LayerKind::convolution;
  int in_channels = 0;   ///< fully connected: input features
  int out_channels = 0;  ///< fully connected: output features
  int kernel = 1;        ///< square kernel side; 1 when fully connected
  int stride = 1;
  int padding = 0;   ///< zero padding on every side
  int pool = 1;      ///< side and stride of the max-pooling window after the ReLU; 1 means none. A rest is dropped.
  bool relu = true;  ///< only what stands behind a ReLU may be a site; false for the layer that makes the logits

  // Set by connect() from the layers before: spatial sides. Fully connected layers have 1.
  int in_side = 1;
  int out_side = 1;     ///< before pooling
  int pooled_side = 1;  ///< after pooling

  int positions() const { return out_side * out_side; }
  /// Weights of one output channel: in_channels * kernel * kernel.
  int fan_in() const { return in_channels * kernel * kernel; }
  /// Elements of one image at the output, after pooling.
  int output_size() const { return out_channels * pooled_side * pooled_side; }

  bool operator==(const Layer&) const = default;
};

/// A chain of layers. The description is complete: engines, files and logs need nothing else.
struct Network {
  std::string name;          ///< "alexnet"
  std::string display_name;  ///< for people, "AlexNet"
  int input_channels = 3;
  int input_side = 32;
  int classes = 10;
  std::vector<Layer> layers;
  std::vector<std::string> default_attention;  ///< names of the layers that --attention-layers default stands for

  int input_size() const { return input_channels * input_side * input_side; }
  /// Output channels of all layers together.
  std::size_t channels() const;
  /// Multiply-accumulates of one image's forward.
  double macs() const;

  bool operator==(const Network&) const = default;
};

/// Fills in the sides. Throws Error naming the layer, if a size is not positive, a layer does not take what the one
/// before gives, or leaves nothing; if a name is empty, holds a '/', ',' or control character, or comes twice; if a
/// layer other than the last has no ReLU or the last one has one; if the last does not make the classes; or if a
/// default attention layer is none.
void connect(Network& network);

/// "conv" or "fc": the kind as files and logs name it.
std::string_view kind_name(LayerKind kind);
/// Throws Error for a name other than conv and fc.
LayerKind parse_kind(std::string_view name);

/// The key of a site in the records of the Python original: `block_output.<name>` or `classifier.<name>.out`.
std::string record_key(const Layer& layer);

/// The index of the layer called `name`, or an Error that names the layers there are. `purpose` says what it was for.
std::size_t layer_index(const Network& network, std::string_view name, std::string_view purpose);

}  // namespace triseg
