// SPDX-License-Identifier: MIT
// Validation of a TokenizerSpec and the reverse map; the shared half of every tokenizer. See vocab.h. Tested by
// tests/tokenizers/vocab_test.cpp.
#include "tokenizers/vocab.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "tokenizers/unicode.h"

namespace infer {
namespace {

// Texts that end a turn in the chat formats in use. Only control tokens with these texts count, so a vocabulary that
// learnt one of them as ordinary text is left alone.
constexpr std::string_view kTurnEnds[] = {
    "<|eot_id|>",      "<|eom_id|>",      "<|im_end|>",
    "<|end|>",         "<end_of_turn>",   "<|endoftext|>",
    "<|end_of_text|>", "<|end_of_turn|>", "<|END_OF_TURN_TOKEN|>",
    "<EOT>",
};

// Marks of fill-in-the-middle prompts. Files give them as user-defined, so that texts can have them, but what a model
// writes never shows them.
constexpr std::string_view kInfillMarks[] = {
    "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>", "<|fim_repo|>", "<|repo_name|>", "<|file_sep|>",
    "<fim-prefix>",   "<fim-suffix>",   "<fim-middle>",   "<fim-pad>",   "<fim-repo>",   "<PRE>",         "<SUF>",
    "<MID>",          "<PAD>",          "<REPO>",         "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>",
};

// Texts that are written without bars and yet have a role in many vocabularies.
constexpr std::string_view kRoles[] = {"<s>", "</s>", "<start_of_turn>"};

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// "<0x0A>" to 10, anything else to -1.
int parse_byte(std::string_view text) noexcept {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const int high = hex_digit(text[3]);
  const int low = hex_digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

Status vocab_error(std::string_view key, std::string message) {
  return Status::error(Code::vocab, fmt::format("{} {}", key, message)).about(key);
}

std::string id_key(std::string_view role) { return fmt::format("tokenizer.ggml.{}_token_id", role); }

std::string outside_text(std::int64_t id, std::int64_t size) {
  return fmt::format("is {}, outside the vocabulary of {} tokens", id, size);
}

/// No token has the role: the key is absent, or a converter wrote -1 to say so, which as 32 bits without a sign is 2^32 - 1.
bool is_none(std::optional<std::int64_t> id) noexcept {
  return !id || *id == -1 || *id == std::numeric_limits<std::uint32_t>::max();
}

}  // namespace

Result<Vocab> Vocab::build(const TokenizerSpec& spec, const VocabDefaults& defaults, const CancelFlag* cancel) {
  Vocab vocab(spec);
  INFER_TRY(vocab.check_lists());
  INFER_TRY(vocab.take_special_tokens(defaults));
  INFER_TRY(vocab.index_texts(cancel));
  vocab.find_turn_ends();
  return vocab;
}

Status Vocab::check_lists() const {
  const std::size_t n_tokens = spec_->tokens.size();
  if (n_tokens == 0) return vocab_error("tokenizer.ggml.tokens", "is missing or empty: there is no vocabulary");
  if (n_tokens > static_cast<std::size_t>(std::numeric_limits<Token>::max())) {
    return vocab_error("tokenizer.ggml.tokens", fmt::format("has {} entries; at most 2147483647 fit", n_tokens));
  }
  if (!spec_->scores.empty() && spec_->scores.size() != n_tokens) {
    return vocab_error("tokenizer.ggml.scores",
                       fmt::format("has {} entries for {} tokens", spec_->scores.size(), n_tokens));
  }
  if (!spec_->types.empty() && spec_->types.size() != n_tokens) {
    return vocab_error("tokenizer.ggml.token_type",
                       fmt::format("has {} entries for {} tokens", spec_->types.size(), n_tokens));
  }
  for (std::size_t i = 0; i < spec_->scores.size(); ++i) {
    if (std::isnan(spec_->scores[i])) {
      return vocab_error("tokenizer.ggml.scores", fmt::format("has no number for token {}: nan", i));
    }
  }
  for (std::size_t i = 0; i < spec_->types.size(); ++i) {
    const std::int32_t type = spec_->types[i];
    if (type < static_cast<std::int32_t>(TokenType::normal) || type > static_cast<std::int32_t>(TokenType::byte)) {
      return vocab_error("tokenizer.ggml.token_type",
                         fmt::format("has unknown type {} for token {}; types are 1 to 6", type, i));
    }
  }
  return {};
}

Status Vocab::take_special_tokens(const VocabDefaults& defaults) {
  const auto take = [this](std::string_view role, std::optional<std::int64_t> id, Token& token) -> Status {
    if (is_none(id)) return {};
    if (!contains(*id)) return vocab_error(id_key(role), outside_text(*id, size()));
    token = static_cast<Token>(*id);
    return {};
  };
  const auto take_if_inside = [this](std::optional<std::int64_t> id) {   // judge() tells of one that is outside
    return !is_none(id) && contains(*id) ? static_cast<Token>(*id) : kNoToken;
  };
  INFER_TRY(take("bos", spec_->bos, special_.bos));
  INFER_TRY(take("eos", spec_->eos, special_.eos));
  INFER_TRY(take("unknown", spec_->unk, special_.unk));
  INFER_TRY(take("eot", spec_->eot, special_.eot));
  INFER_TRY(take("eom", spec_->eom, special_.eom));
  special_.sep = take_if_inside(spec_->sep);
  special_.pad = take_if_inside(spec_->pad);
  const Token cls = take_if_inside(spec_->cls);

  const auto assume = [this](Token candidate, TokenType type, std::string_view usual_text, Token& token) {
    if (token != kNoToken || !contains(candidate)) return;
    const bool fits = spec_->types.empty() ? text(candidate) == usual_text : this->type(candidate) == type;
    if (fits) token = candidate;
  };
  if (defaults.cls_and_sep && special_.bos == kNoToken) special_.bos = cls;
  if (defaults.cls_and_sep && special_.eos == kNoToken) special_.eos = special_.sep;
  assume(defaults.bos, TokenType::control, defaults.bos_text, special_.bos);
  assume(defaults.eos, TokenType::control, defaults.eos_text, special_.eos);
  assume(defaults.unk, TokenType::unknown, defaults.unk_text, special_.unk);

  special_.add_bos = spec_->add_bos.value_or(defaults.add_bos);
  special_.add_eos = spec_->add_eos.value_or(defaults.add_eos);
  return {};
}

Status Vocab::check_length(Token token, std::size_t& n_marks) const {
  constexpr const char* kKey = "tokenizer.ggml.tokens";
  const std::size_t n_bytes = text(token).size();
  const TokenType kind = type(token);
  const bool is_mark = kind == TokenType::control || kind == TokenType::user_defined || kind == TokenType::unknown;
  if (n_bytes > kMaxTokenBytes || (is_mark && n_bytes > kMaxMarkBytes)) {
    return Status::error(Code::limit, fmt::format("{}: {}token {} has {} bytes; at most {} are supported", kKey,
                                                  is_mark ? "control or user-defined " : "", token, n_bytes,
                                                  is_mark ? kMaxMarkBytes : kMaxTokenBytes))
        .about(kKey);
  }
  if (is_mark && kind != TokenType::unknown && ++n_marks > kMaxMarks) {
    return Status::error(Code::limit, fmt::format("{}: token {} is one more than the {} control and user-defined tokens that "
                                                  "are supported",
                                                  kKey, token, kMaxMarks))
        .about(kKey);
  }
  return {};
}

Status Vocab::index_texts(const CancelFlag* cancel) {
  texts_ = TextMap(spec_->tokens.size());
  std::size_t n_marks = 0;
  for (Token token = 0; token < size(); ++token) {
    if (is_cancelled(cancel)) return loading_cancelled();
    INFER_TRY(check_length(token, n_marks));
    const std::string_view entry = text(token);
    if (const int byte = byte_value(token); byte >= 0) {
      Token& first = bytes_[static_cast<std::size_t>(byte)];
      if (first == kNoToken) first = token;
    }
    if (entry.empty()) continue;
    longest_ = std::max(longest_, entry.size());

    const Token first = texts_.add(token, spec_->tokens);
    if (first == kNoToken) {
      return vocab_error("tokenizer.ggml.tokens", fmt::format("has too many texts with the same hash: {} at token {}",
                                                              TextMap::kMaxProbes, token));
    }
    if (first != token && n_repeated_++ == 0) {  // of equal texts the first stays
      first_repeated_ = token;
    }
  }
  return {};
}

void Vocab::find_turn_ends() {
  for (const Token token : {special_.eos, special_.eot, special_.eom}) {
    if (token != kNoToken) turn_ends_.push_back(token);
  }
  if (special_.eot != kNoToken) return;
  for (const std::string_view known : kTurnEnds) {
    const Token token = find(known);
    if (token != kNoToken && type(token) == TokenType::control) turn_ends_.push_back(token);
  }
}

void Vocab::judge(std::vector<std::string>& warnings) const {
  if (n_repeated_ > 0) {
    warnings.push_back(fmt::format("tokenizer.ggml.tokens: {} of {} tokens repeat an earlier text, {} the first of them; text "
                                   "becomes the earlier one",
                                   n_repeated_, size(), first_repeated_));
  }
  const auto judge_id = [&](std::string_view role, std::optional<std::int64_t> id) {
    if (is_none(id) || contains(*id)) return;
    warnings.push_back(fmt::format("{} {}; it is ignored", id_key(role), outside_text(*id, size())));
  };
  judge_id("seperator", spec_->sep);   // the key is spelled like this
  judge_id("padding", spec_->pad);
  judge_id("cls", spec_->cls);
  judge_id("mask", spec_->mask);
  if (turn_ends_.empty()) {
    warnings.push_back("tokenizer.ggml: no token ends a generation; it goes on until its limit of tokens");
  }
}

TokenType Vocab::type(Token token) const noexcept {
  if (!spec_->types.empty()) return static_cast<TokenType>(spec_->types[static_cast<std::size_t>(token)]);
  if (token == special_.bos || token == special_.eos) return TokenType::control;
  if (token == special_.unk) return TokenType::unknown;
  return parse_byte(text(token)) >= 0 ? TokenType::byte : TokenType::normal;
}

bool Vocab::is_hidden(Token token) const noexcept {
  const TokenType kind = type(token);
  if (kind != TokenType::user_defined) return kind == TokenType::control || kind == TokenType::unknown;
  return std::find(std::begin(kInfillMarks), std::end(kInfillMarks), text(token)) != std::end(kInfillMarks);
}

int Vocab::byte_value(Token token) const noexcept {
  return type(token) == TokenType::byte ? parse_byte(text(token)) : -1;
}

Token Vocab::unknown() const noexcept {
  const bool has_role = special_.unk == special_.bos || ends_generation(special_.unk);
  return has_role ? kNoToken : special_.unk;
}

bool Vocab::ends_generation(Token token) const noexcept {
  return std::find(turn_ends_.begin(), turn_ends_.end(), token) != turn_ends_.end();
}

std::uint64_t Vocab::memory() const noexcept {
  return sizeof(*this) + texts_.memory() + turn_ends_.capacity() * sizeof(Token);
}

bool Vocab::strips_space_behind(Token mark) const noexcept {
  const std::string_view architecture = spec_->architecture;
  if (spec_->model != "llama" || (architecture != "phi3" && architecture != "phimoe")) return false;
  const std::string_view mark_text = text(mark);
  return mark_text != "<unk>" && mark_text != "<s>" && mark_text != "<|endoftext|>";
}

bool Vocab::looks_like_control(Token token) const noexcept {
  const std::string_view t = text(token);
  const bool has_bars = (t.starts_with("<|") && t.ends_with("|>")) || (t.starts_with("<\uff5c") && t.ends_with("\uff5c>"));
  const auto is_in = [](const auto& list, const auto& value) {
    return std::find(std::begin(list), std::end(list), value) != std::end(list);
  };
  const Token roles[] = {special_.bos, special_.eos, special_.sep, special_.eot, special_.eom};
  return type(token) == TokenType::control || has_bars || is_in(kTurnEnds, t) || is_in(kRoles, t) || is_in(roles, token) ||
         ends_generation(token);
}

void VocabTokenizer::set_marks(std::vector<TextMatcher::Entry> marks) {
  std::vector<TextMatcher::Entry> user_defined, untrusted;
  for (const TextMatcher::Entry& mark : marks) {
    if (type(mark.token) != TokenType::user_defined) continue;
    user_defined.push_back(mark);
    if (!vocab_.looks_like_control(mark.token)) untrusted.push_back(mark);
  }
  marks_ = TextMatcher(std::move(marks));
  user_defined_marks_ = TextMatcher(std::move(user_defined));
  untrusted_marks_ = TextMatcher(std::move(untrusted));
}

std::string_view VocabTokenizer::piece(Token token, bool unparse_special) const noexcept {
  if (!unparse_special && vocab_.is_hidden(token)) return {};
  return pieces_[static_cast<std::size_t>(token)];
}

Result<std::string> VocabTokenizer::decode(std::span<const Token> tokens, const DecodeOptions& options) const {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (vocab_.contains(tokens[i])) continue;
    return Status::error(
        Code::token, fmt::format("token {} at index {} is outside the vocabulary of {} tokens", tokens[i], i, size()));
  }
  const SpecialTokens& roles = special();
  if (options.remove_special && roles.add_bos && !tokens.empty() && tokens.front() == roles.bos) {
    tokens = tokens.subspan(1);
  }
  if (options.remove_special && roles.add_eos && !tokens.empty() && tokens.back() == roles.eos) {
    tokens = tokens.first(tokens.size() - 1);
  }
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::string_view bytes = piece(tokens[i], options.unparse_special);
    if (i == 0 && strips_leading_space_ && bytes.starts_with(' ')) bytes.remove_prefix(1);
    text += bytes;
  }
  return text;
}

}  // namespace infer
