// SPDX-License-Identifier: MIT
// Facts by name: what the infer_*_get_* functions look up. Tested by the tests of these functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "libinfer/status.h"

namespace infer::capi {

template <class T>
struct FactOf {
  std::string_view key;
  T value;
};

/// Of facts that have a `key`. Nothing is allocated where it is found; else the error names all.
template <class Fact, std::size_t n>
Result<const Fact*> find_fact(const Fact (&facts)[n], std::string_view key) {
  for (const Fact& f : facts) {
    if (key == f.key) return &f;
  }
  std::string known;
  for (const Fact& f : facts) known += fmt::format("{}{}", known.empty() ? "" : ", ", f.key);
  return Status::error(Code::notfound, fmt::format("unknown fact '{}'; known: {}", key, known)).about(key);
}

/// What an infer_*_get_* function gives of them.
template <class T, std::size_t n>
Status get_fact(const FactOf<T> (&facts)[n], std::string_view key, T* value) {
  INFER_ASSIGN(const FactOf<T>* const fact, find_fact(facts, key));
  *value = fact->value;
  return {};
}

}  // namespace infer::capi
