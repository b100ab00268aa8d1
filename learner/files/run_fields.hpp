// The fields of the run file by group, which run_schema.cpp puts together. Each function appends those of one group.
#pragma once

#include "learner/files/run_schema.hpp"

#include <vector>

namespace triseg {

// What the run was given (run_fields_given.cpp).
void add_root(std::vector<Field>& fields);
void add_network(std::vector<Field>& fields);
void add_sites(std::vector<Field>& fields);

// What grows while it searches (run_fields_search.cpp).
void add_episodes(std::vector<Field>& fields);
void add_updates(std::vector<Field>& fields);
void add_evaluations(std::vector<Field>& fields);
void add_finalists(std::vector<Field>& fields);
void add_checkpoint(std::vector<Field>& fields);

// What it found (run_fields_found.cpp).
void add_top(std::vector<Field>& fields);
void add_pareto(std::vector<Field>& fields);
void add_selected(std::vector<Field>& fields);

}  // namespace triseg
