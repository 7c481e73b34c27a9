// SPDX-License-Identifier: MIT
// See range.h. Tested by tests/base/range_test.cpp.
#include "src/base/range.h"

#include <fmt/format.h>

namespace infer {
namespace {

template <class T>
std::string sentence(std::string_view name, T value, T low, T high) {
  return fmt::format("{} = {} is outside {}..{}", name, value, low, high);
}

template <class T>
Status check(std::string_view name, T value, T low, T high) {
  if (value >= low && value <= high) return {};   // false for NaN
  return Status::error(Code::range, sentence(name, value, low, high)).about(name);
}

}  // namespace

std::string outside(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high) {
  return sentence(name, value, low, high);
}
std::string outside(std::string_view name, double value, double low, double high) {
  return sentence(name, value, low, high);
}

Status check_range(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high) {
  return check(name, value, low, high);
}
Status check_range(std::string_view name, double value, double low, double high) { return check(name, value, low, high); }

}  // namespace infer
