// SPDX-License-Identifier: MIT
// Fuzz target: any bytes as text, by any kind of tokenizer. Every id is in the vocabulary, and the ids stand for the same
// bytes again, as far as the kind keeps them. Parts and threads change no id, spans lie in the text and in order, and no control
// token, nor one written like it, comes from text that is not trusted (but for bert's [UNK], which is of type control).
#include <string>
#include <vector>

#include "tests/fuzz/vocabularies.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using infer::fuzz::require;
  if (size == 0) return 0;
  const infer::fuzz::Vocabulary& vocabulary = infer::fuzz::chosen_vocabulary(data[0]);
  const infer::Tokenizer& tokenizer = *vocabulary.tokenizer;
  const infer::EncodeOptions options{.add_special = (data[0] & 1) != 0, .parse_special = (data[0] & 2) != 0};
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto ids = tokenizer.encode(text, options);
  require(ids.ok());
  for (const infer::Token id : ids.value()) require(id >= 0 && id < tokenizer.size());

  infer::EncodeOptions in_parts = options;
  in_parts.part_bytes = 7;
  require(tokenizer.encode(text, in_parts).value() == ids.value());
  std::vector<infer::TextSpan> spans;
  infer::EncodeOptions with_spans = options;
  with_spans.spans = &spans;
  require(tokenizer.encode(text, with_spans).value() == ids.value() && spans.size() == ids.value().size());
  for (std::size_t i = 0; i < spans.size(); ++i) {
    require(spans[i].begin <= spans[i].end && spans[i].end <= text.size() && (i == 0 || spans[i - 1].begin <= spans[i].begin));
  }
  const infer::EncodeOptions untrusted{.add_special = false, .parse_special = true, .special_in = std::span<const infer::TextSpan>()};
  const auto as_said = tokenizer.encode(text, untrusted);
  for (const infer::Token id : as_said.value()) {
    const std::string_view written = tokenizer.text(id);
    require(id == tokenizer.special().unk || tokenizer.type(id) != infer::TokenType::control);
    require(!(written.starts_with("<|") && written.ends_with("|>")));
  }

  const auto back = tokenizer.decode(ids.value(), {.remove_special = options.add_special, .unparse_special = options.parse_special});
  require(back.ok());
  // What looks like a control token is one when it is asked for, and may take the spaces beside it along.
  if (options.parse_special) return 0;
  require(vocabulary.plain(back.value()) == vocabulary.plain(std::string(text)));
  return 0;
}
