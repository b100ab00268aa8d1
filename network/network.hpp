// Networks described as data. Layer names, shapes, sites, record keys and attention layers all derive from here.
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
  int padding = 0;       ///< zero padding on every side
  int pool = 1;          ///< side and stride of the max-pooling window after the ReLU; 1 means none. A rest is dropped.
  bool batch_norm = false;
  bool relu = true;      ///< false only for the layer that makes the logits
  double dropout = 0.0;  ///< after the layer, in training only
  bool site = true;      ///< may be approximated by a staircase

  // Set by make_network from the layers before: spatial sides. Fully connected layers have 1.
  int in_side = 1;
  int out_side = 1;     ///< before pooling
  int pooled_side = 1;  ///< after pooling

  int positions() const { return out_side * out_side; }
  /// Weights of one output channel: in_channels * kernel * kernel.
  int fan_in() const { return in_channels * kernel * kernel; }
  /// Elements of one image at the output, after pooling.
  int output_size() const { return out_channels * pooled_side * pooled_side; }
};

/// A chain of layers. The description is complete: engines, training, files and logs need nothing else.
struct Network {
  std::string name;          ///< what --model takes, "alexnet"
  std::string display_name;  ///< for people, "AlexNet"
  int input_channels = 3;
  int input_side = 32;
  int classes = 10;
  std::vector<Layer> layers;
  std::vector<std::size_t> attention_layers;  ///< indices into layers

  int input_size() const { return input_channels * input_side * input_side; }
  /// Output channels of all layers together.
  std::size_t channels() const;
  /// Indices into layers of the sites, in network order.
  std::vector<std::size_t> sites() const;
  /// Multiply-accumulates of one image's forward.
  double macs() const;
};

/// The names make_network knows, in the order of the documentation.
std::vector<std::string> network_names();

/// The description called `name`. Throws Error naming it and the known ones.
Network make_network(std::string_view name);

/// "conv" or "fc": the kind as files and logs name it.
std::string_view kind_name(LayerKind kind);

/// The key of a site in result files: `block_output.<name>` or `classifier.<name>.out`, as the Python original has them.
std::string record_key(const Layer& layer);

/// The index of the layer called `name`, or an Error that names the layers there are. `purpose` says what it was for.
std::size_t layer_index(const Network& network, std::string_view name, std::string_view purpose);

/// Keeps as sites only those named by `selection`: "all", "conv", or names separated by commas. The others stay exact.
/// Throws Error for an unknown name, a layer that is no site, a name given twice, or an empty selection.
void select_sites(Network& network, std::string_view selection);

/// Replaces the attention layers by the ones named, separated by commas; "default" keeps them, "none" leaves none.
/// Throws Error for an unknown name, a layer without a ReLU, a name given twice, or an empty list.
void select_attention_layers(Network& network, std::string_view selection);

}  // namespace triseg
