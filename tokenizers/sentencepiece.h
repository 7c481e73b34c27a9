// SPDX-License-Identifier: MIT
// What the kinds that come from SentencePiece share (spm.cpp, unigram.cpp): spaces written as U+2581, tokens for bytes.
// Tested by tests/tokenizers/spm_test.cpp and unigram_test.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libinfer/hooks.h"
#include "libinfer/status.h"
#include "tokenizers/vocab.h"

namespace infer::sentencepiece {

inline constexpr std::string_view kEscapedSpace = "\xe2\x96\x81";  // U+2581

void append_escaped(std::string_view text, std::string& out);
std::string escape_spaces(std::string_view text);
std::string unescape_spaces(std::string_view text);

/// The marks that parse_special asks for: control and user-defined tokens and UNK. Other tokens of type unknown are
/// padding, and their texts are no marks.
std::vector<TextMatcher::Entry> special_texts(const Vocab& vocab);

/// What an encoder does with characters that no piece stands for: bytes where the vocabulary has tokens for all of them,
/// else UNK, once for a run of such characters. `begin`: their place in the normal form. `after_unknown`: whether the last
/// token is UNK. Errors: utf8.
Status append_without_piece(const Vocab& vocab, std::string_view characters, std::size_t begin, std::vector<Token>& tokens,
                            SpanNotes& spans, bool& after_unknown);

/// A token's own bytes: the byte of a byte token, the text with its spaces of all others. Texts of control and unknown
/// tokens are shown as they are. Errors: cancelled.
Result<StringList> make_pieces(const Vocab& vocab, const CancelFlag* cancel);

/// Warns of characters that cannot be encoded as they are: those with neither a piece nor bytes.
void judge_bytes(const Vocab& vocab, std::vector<std::string>& warnings);

}  // namespace infer::sentencepiece
