// How an engine goes through a graph: which nodes run in one pass, what students share, and where values lie. Pure
// data, from the graph and the students alone; engines decide what they make of it.
#pragma once

#include "worker/engine.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace triseg {

/// A node and what may run in the same pass over its codes.
struct Step {
  std::size_t node = 0;
  /// The maximum that alone reads the convolution `node` and whose windows do not overlap, neither site nor attention
  /// layer: its value is the step's, and that of `node` need not be stored. -1: none.
  int pool = -1;
  /// The addition that alone reads the convolution `node`, as an operand of its own shape, when its other operand is
  /// there already: an engine may add before it stores. It has a step of its own all the same. -1: none.
  int addition = -1;

  /// The node whose value the step stores.
  std::size_t value() const { return pool < 0 ? node : static_cast<std::size_t>(pool); }
};

/// All nodes, each after its inputs; those that are pools of a step have none of their own.
std::vector<Step> make_steps(const Problem& problem);

/// Which students agree at a node. Classes are numbered from 0 in the order of their first students.
struct NodeClasses {
  std::vector<std::uint32_t> codes;  // (students): agree in front of the node's staircase, in all tables and repairs
                                     // upstream and in the repair of the node itself
  std::vector<std::uint32_t> value;  // (students): agree in the node's table, too
};
/// (nodes)
std::vector<NodeClasses> agreement(const Problem& problem, std::span<const Student> students);

/// A step, run for one class of students.
struct Task {
  std::size_t step = 0;
  std::size_t student = 0;  ///< one of the class, whose tables and repair are used
  bool computes = true;     ///< false: `codes` holds the codes in front of the staircase, only the table is left
  int codes = -1;           ///< buffer of the codes in front of the staircase, if later tasks need them; else -1
  int value = -1;           ///< buffer of the step's value
  std::vector<int> inputs;  ///< buffers of the node's inputs; image_value for the image
};

/// Memory that a plan needs from task `first` to task `last`, both included.
struct Buffer {
  std::size_t step = 0;
  bool codes = false;  ///< codes in front of the staircase, as the step has them; else its value
  std::size_t first = 0, last = 0;
};

/// The work of one call: every step once for each class of students.
struct Plan {
  std::vector<Task> tasks;
  std::vector<Buffer> buffers;
  /// (nodes)(students): the student whose task made this student's value.
  std::vector<std::vector<std::size_t>> made_by;
};
/// Students that agree in the first nodes follow each other, so that what they share is not held for long.
Plan make_plan(const Problem& problem, std::span<const Step> steps, std::span<const Student> students);

/// Where buffers lie in one piece of memory.
struct Arena {
  std::vector<std::size_t> offsets;  // (buffers), bytes
  std::size_t size = 0;              // bytes
};
/// Places buffers of these sizes so that none overlaps another in space and time, the largest first, each as low as it
/// fits. Offsets are multiples of `alignment`.
Arena place(std::span<const Buffer> buffers, std::span<const std::size_t> sizes, std::size_t alignment = 64);

}  // namespace triseg
