// SPDX-License-Identifier: MIT
// Fuzz target: any bytes as text. Every id is in the vocabulary, and the ids stand for the same bytes again (the
// vocabulary has all byte tokens), but for U+2581, which SentencePiece writes for a space.
#include <string>

#include "tests/fuzz/fuzz.h"
#include "tests/testing/tiny_model.h"

namespace {

/// U+2581 is how SentencePiece writes a space. A stray byte in front of one keeps its bytes apart, so it may come back as it is.
std::string plain(std::string text) {
  for (std::size_t at = 0; (at = text.find("\u2581", at)) != std::string::npos;) text.replace(at, 3, " ");
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using infer::fuzz::require;
  static const std::vector<std::byte> file = infer::testing::make_tiny_model({});
  static const std::shared_ptr<const infer::Model> model = infer::fuzz::load(file).value();
  const infer::Tokenizer& tokenizer = *model->tokenizer().value();
  if (size == 0) return 0;
  const infer::EncodeOptions options{.add_special = (data[0] & 1) != 0, .parse_special = (data[0] & 2) != 0};
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto ids = tokenizer.encode(text, options);
  require(ids.ok());
  for (const infer::Token id : ids.value()) require(id >= 0 && id < tokenizer.size());
  const auto back = tokenizer.decode(ids.value(), {.remove_special = options.add_special, .unparse_special = options.parse_special});
  require(back.ok());
  // What looks like a control token is one when it is asked for, and takes the spaces beside it along.
  if (options.parse_special) return 0;
  require(plain(back.value()) == plain(std::string(text)));
  return 0;
}
