// SPDX-License-Identifier: MIT
// Fuzz target: any ids of a vocabulary, a piece at a time, cut into runs at any places. What a run gives is whole UTF-8
// after each piece, and in the end the run decoded at once, with U+FFFD for what is no character.
//
// Input: a byte that chooses the vocabulary, then two bytes for each id; the highest bit ends a run after it.
#include <span>
#include <string>

#include "libinfer/text.h"
#include "libinfer/text_stream.h"
#include "src/base/utf8.h"
#include "tests/fuzz/vocabularies.h"

namespace {

using infer::Token;
using infer::Tokenizer;
using infer::fuzz::require;

/// The text at once, with U+FFFD for each maximal part that is no character.
std::string with_replacements(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const infer::Utf8Step step = infer::utf8_step(text);
    out += step.state == infer::Utf8State::valid ? text.substr(0, step.size) : infer::kReplacementCharacter;
    text.remove_prefix(step.size);
  }
  return out;
}

void judge(const Tokenizer& tokenizer, std::span<const Token> run, infer::Utf8Stream& characters, infer::TextStream& stream) {
  std::string text, generated;
  const auto appended = [&text](std::size_t before, std::size_t most) {
    require(text.size() - before <= most);
    require(infer::is_utf8(std::string_view(text).substr(before)));
  };
  for (const Token token : run) {
    const std::string_view piece = tokenizer.piece(token, false);
    const std::size_t before = text.size();
    characters.push(piece, text);
    appended(before, infer::Utf8Stream::most_out(piece.size()));
    require(!stream.push(piece, generated));
  }
  const std::size_t before = text.size();
  characters.flush(text);
  appended(before, infer::Utf8Stream::most_out(0));
  stream.flush(generated);
  require(generated == text);

  const auto whole = tokenizer.decode(run, {});
  require(whole.ok());
  // Only the whole text knows where it begins, and leaves out the space that encoding put there.
  const bool lost_space =
      !run.empty() && tokenizer.strips_leading_space() && tokenizer.piece(run[0], false).starts_with(' ');
  require(text == (lost_space ? " " : "") + with_replacements(whole.value()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  infer::fuzz::Input input(data, size);
  const Tokenizer& tokenizer = *infer::fuzz::chosen_vocabulary(input.take<std::uint8_t>()).tokenizer;
  infer::Utf8Stream characters;   // a flush begins them anew
  infer::TextStream stream({});
  std::vector<Token> run;
  while (input.left() > 0) {
    const auto word = input.take<std::uint16_t>();
    run.push_back(static_cast<Token>((word & 0x7fff) % tokenizer.size()));
    if ((word & 0x8000) == 0 && input.left() > 0) continue;
    judge(tokenizer, run, characters, stream);
    run.clear();
  }
  return 0;
}
