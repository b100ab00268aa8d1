#include "runner/ranks/wire.hpp"

namespace triseg {
namespace {

void write(WireWriter& writer, const Repair& repair) {
  writer.value(std::uint64_t{repair.size()});
  for (const auto& layer : repair) {
    writer.value(std::uint8_t{layer.has_value()});
    if (!layer) continue;
    writer.list(layer->multiplier);
    writer.list(layer->bias);
  }
}

Repair read_repair(WireReader& reader) {
  Repair repair(reader.length(sizeof(std::uint8_t)));
  for (auto& layer : repair) {
    if (reader.value<std::uint8_t>() == 0) continue;
    layer = Requantization{reader.list<float>(), reader.list<std::int32_t>()};
    if (layer->multiplier.size() != layer->bias.size())
      fail("a message between ranks has a repair of {} multipliers and {} biases", layer->multiplier.size(),
           layer->bias.size());
  }
  return repair;
}

void check(const ScoreRequest& request) {
  if (request.split > Split::test)
    fail("a message between ranks names split {}", static_cast<std::uint32_t>(request.split));
  if (request.batch_size == 0) fail("a message between ranks asks for batches of no image");
  if (!request.repair_of.empty() && request.repair_of.size() != request.candidates.size())
    fail("a message between ranks has {} candidates and repairs of {}", request.candidates.size(),
         request.repair_of.size());
  for (const std::uint32_t repair : request.repair_of)
    if (repair != no_repair && repair >= request.repairs.size())
      fail("a message between ranks names repair {} of {}", repair, request.repairs.size());
}

}  // namespace

void WireReader::require(std::uint64_t count, std::size_t bytes_each) const {
  if (count > rest_.size() / bytes_each)
    fail("a message between ranks is too short: {} values of {} bytes in {} bytes", count, bytes_each, rest_.size());
}

std::span<const std::byte> WireReader::take(std::uint64_t count, std::size_t bytes_each) {
  require(count, bytes_each);
  const auto taken = rest_.first(count * bytes_each);
  rest_ = rest_.subspan(taken.size());
  return taken;
}

std::size_t WireReader::length(std::size_t bytes_each) {
  const auto count = value<std::uint64_t>();
  require(count, bytes_each);
  return count;
}

void WireReader::end() const {
  if (!rest_.empty()) fail("a message between ranks is too long: {} bytes are left", rest_.size());
}

std::vector<std::byte> encode_finish(std::int32_t exit_code) {
  WireWriter writer;
  writer.value(static_cast<std::uint32_t>(Task::finish));
  writer.value(exit_code);
  return std::move(writer).bytes();
}

std::vector<std::byte> encode(Task task, std::uint32_t working, const ScoreRequest& request) {
  WireWriter writer;
  writer.value(static_cast<std::uint32_t>(task));
  writer.value(working);
  writer.value(static_cast<std::uint32_t>(request.split));
  writer.value(request.batch_size);
  writer.list(request.images);
  writer.value(std::uint64_t{request.candidates.size()});
  for (const auto& codes : request.candidates) writer.list(codes);
  writer.value(std::uint64_t{request.repairs.size()});
  for (const Repair& repair : request.repairs) write(writer, repair);
  writer.list(request.repair_of);
  writer.text(request.phase);
  writer.list(request.next_images);
  return std::move(writer).bytes();
}

Order decode_order(std::span<const std::byte> message) {
  WireReader reader(message);
  Order order;
  const auto task = reader.value<std::uint32_t>();
  if (task > static_cast<std::uint32_t>(Task::finish)) fail("a message between ranks asks for task {}", task);
  order.task = static_cast<Task>(task);
  if (order.task == Task::finish) {
    order.exit_code = reader.value<std::int32_t>();
    reader.end();
    return order;
  }
  order.working = reader.value<std::uint32_t>();
  if (order.working == 0) fail("a message between ranks lets none of them work");
  ScoreRequest& request = order.request;
  request.split = static_cast<Split>(reader.value<std::uint32_t>());
  request.batch_size = reader.value<std::uint32_t>();
  request.images = reader.list<std::uint32_t>();
  request.candidates.resize(reader.length(sizeof(std::uint64_t)));
  for (auto& codes : request.candidates) codes = reader.list<Codes>();
  request.repairs.resize(reader.length(sizeof(std::uint64_t)));
  for (Repair& repair : request.repairs) repair = read_repair(reader);
  request.repair_of = reader.list<std::uint32_t>();
  request.phase = reader.text();
  request.next_images = reader.list<std::uint32_t>();
  reader.end();
  check(request);
  return order;
}

}  // namespace triseg
