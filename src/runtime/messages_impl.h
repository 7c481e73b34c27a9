// SPDX-License-Identifier: MIT
// What stands behind Messages: values of the template interpreter. For messages.cpp and chat_template.cpp alone.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libinfer/messages.h"
#include "tokenizers/chat/template.h"

namespace infer {

struct Messages::Impl {
  chat::Values messages;
  std::vector<std::pair<std::string, chat::Value>> variables;   ///< names are unique
  std::optional<chat::CivilTime> now;

  const chat::Value* find(std::string_view name) const noexcept {
    for (const auto& [known, value] : variables) {
      if (known == name) return &value;
    }
    return nullptr;
  }
  void set(std::string_view name, chat::Value value);
};

}  // namespace infer
