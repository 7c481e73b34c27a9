// SPDX-License-Identifier: MIT
// A text as windows of tokens: what perplexity and imatrix run over. The text is tokenised as a whole and cut every `size`
// tokens; what is left at the end is dropped. Where the vocabulary adds a BOS token, the text begins with one, and the first
// token of every other window gives way to one: the field's way, so that figures compare.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libinfer.hpp"

namespace CLI {
class App;
}

namespace tool {

struct Windows {
  std::size_t size = 0;              // tokens of each
  bool begins_with_bos = false;
  std::vector<std::int32_t> tokens;  // (count, size)

  std::size_t count() const { return tokens.size() / size; }
  libinfer::Tokens operator[](std::size_t i) const { return {tokens.data() + i * size, size}; }
};

inline constexpr std::int64_t kLeastWindow = 8;       // tokens
inline constexpr std::int64_t kMostWindow = 1 << 20;

/// The size of a window that is not told one: the model's context, at most 512.
std::size_t default_window(const libinfer::Model& model);

/// A file of text, or of token ids as `infer tokenize` prints them, which then are cut as they are.
struct TextArguments {
  std::string text, ids;  // paths; "-" is stdin; one of them is empty
  std::int64_t limit = 0; // windows at most; 0 for all

  void add_to(CLI::App& app);
  const std::string& path() const { return text.empty() ? ids : text; }
};

/// Reports its own failures.
std::optional<Windows> cut_text(const libinfer::Model& model, const TextArguments& arguments, std::size_t size);

/// A session for one window at a time, with `options` but for the context, which is the window, and the logits of a step: all.
libinfer::Expected<libinfer::Session> make_window_session(const libinfer::Model& model, libinfer::Options& options,
                                                          std::size_t size);

}  // namespace tool
