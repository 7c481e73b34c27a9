// SPDX-License-Identifier: MIT
// Registry<T>: named descriptors, built-in ones and added ones. A value: copying it and adding to the copy changes
// nothing for anybody else. Descriptors are constant objects that outlive the registry.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer/status.h"
#include "libinfer/text.h"

namespace infer {

/// The names a descriptor answers to; overloaded for descriptors that have several (Architecture).
template <class T>
bool answers_to(const T& descriptor, std::string_view name) {
  return descriptor.name == name;
}
template <class T>
std::vector<std::string_view> names_of(const T& descriptor) {
  return {descriptor.name};
}

template <class T>
class Registry {
 public:
  /// `what` is used in messages: "architecture".
  Registry(std::string_view what, std::span<const T* const> builtin) : what_(what), all_(builtin.begin(), builtin.end()) {}

  const T* find(std::string_view name) const noexcept {
    for (const T* t : all_) {
      if (answers_to(*t, name)) return t;
    }
    return nullptr;
  }

  /// find(), or an error of the given code that lists what is known.
  Result<const T*> require(std::string_view name, Code code) const {
    if (const T* t = find(name)) return t;
    return Status::error(code, "unknown " + what_ + " " + quoted(name) + "; known: " + names());
  }

  /// Later additions are found after the built-in ones. Code::argument when the name is taken. The descriptor must
  /// outlive every copy of the registry.
  Status add(const T& descriptor) {
    for (std::string_view name : names_of(descriptor)) {
      if (find(name) != nullptr) return Status::error(Code::argument, what_ + " " + quoted(name) + " is registered already");
    }
    all_.push_back(&descriptor);
    return {};
  }

  /// "a, b, c", in order.
  std::string names() const {
    std::string list;
    for (const T* t : all_) {
      for (std::string_view name : names_of(*t)) list.append(list.empty() ? "" : ", ").append(name);
    }
    return list;
  }

  std::span<const T* const> all() const noexcept { return all_; }

 private:
  std::string what_;
  std::vector<const T*> all_;
};

}  // namespace infer
