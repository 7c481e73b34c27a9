// SPDX-License-Identifier: MIT
// VocabTokenizer::encode(): the frame of all kinds. Long texts are cut to parts at places that change no token, always
// the same ones, and encoded part by part; how many threads do that is nobody's business but the clock's. See vocab.h.
// Tested by tests/tokenizers/parts_test.cpp.
#include <algorithm>
#include <exception>
#include <limits>

#include <fmt/format.h>

#include "tokenizers/unicode.h"
#include "tokenizers/vocab.h"

namespace infer {
namespace {

constexpr std::size_t kManyBytes = std::size_t{1} << 20;  // up to here several threads must be asked for
constexpr std::size_t kMargin = 4;                        // bytes on either side of a cut: a character's, at most
constexpr std::size_t kMaxPlaces = 4096;                  // that are looked at for a cut, before the next part
constexpr std::size_t kMaxTries = 64;                     // of these, where marks are looked for

Status check(std::string_view text, const EncodeOptions& options) {
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  if (text.size() > static_cast<std::size_t>(kMost)) {
    return Status::error(Code::limit, fmt::format("text: {} bytes exceed {}", text.size(), kMost));
  }
  if (options.n_threads < 0 || options.n_threads > ThreadPool::kMaxThreads) {
    return Status::error(Code::range, fmt::format("n_threads = {} is outside 0..{}", options.n_threads,
                                                  ThreadPool::kMaxThreads));
  }
  return {};
}

/// Null: the caller does it all, because there is nothing to share or the system gives no threads.
std::unique_ptr<ThreadPool> make_pool(std::size_t n_bytes, std::size_t n_parts, const EncodeOptions& options) {
  const bool several = options.n_threads != 0 || n_bytes > kManyBytes;
  if (!several || n_parts == 1 || options.n_threads == 1) return nullptr;
  const int n_wanted = options.n_threads != 0 ? options.n_threads : default_threads(options.executor);
  const int n_threads = static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(n_wanted), n_parts));
  if (n_threads == 1) return nullptr;
  auto pool = options.executor ? ThreadPool::create(n_threads, options.executor) : ThreadPool::create(n_threads);
  return pool.ok() ? std::move(pool).value() : nullptr;
}

}  // namespace

Result<std::vector<Token>> VocabTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  INFER_TRY(check(text, options));
  // Spans are noted in the order of the text.
  const std::vector<std::size_t> ends = options.spans == nullptr ? cut(text, options) : std::vector<std::size_t>{text.size()};
  const SpecialTokens& s = special();
  SpanNotes spans(options.spans);
  std::vector<Token> tokens;
  if (options.add_special && s.add_bos && s.bos != kNoToken) {
    tokens.push_back(s.bos);
    spans.add_text(0, 0);
  }
  if (const std::unique_ptr<ThreadPool> pool = make_pool(text.size(), ends.size(), options)) {
    INFER_TRY(encode_at_once(text, ends, options, *pool, tokens));
  } else {
    const std::unique_ptr<TextEncoder> encoder = make_encoder(options, spans);
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
      INFER_TRY(encode_part(text.substr(0, end), begin, options, *encoder, spans, tokens));
      begin = end;
    }
  }
  if (options.add_special && s.add_eos && s.eos != kNoToken) {
    tokens.push_back(s.eos);
    spans.add_text(text.size(), text.size());
  }
  return tokens;
}

// Where the parts end. A mark that touched a cut could be found in one side and not in the whole, or the reverse. Few
// places are tried, because a hostile vocabulary makes these searches slow.
std::vector<std::size_t> VocabTokenizer::cut(std::string_view text, const EncodeOptions& options) const {
  const TextMatcher& marks = options.parse_special ? marks_ : usual_marks();
  const std::size_t step = std::max<std::size_t>(options.part_bytes, 1);
  std::vector<std::size_t> ends;
  for (std::size_t at = step; at < text.size(); at += step) {
    const std::size_t last = std::min(at + kMaxPlaces, text.size());
    for (std::size_t n_tries = 0; at < last && n_tries < kMaxTries; ++at) {
      if (!may_cut(text, at)) continue;
      if (!marks.touches(text, at - std::min(at, kMargin), std::min(at + kMargin, text.size())) && !is_joined_at(text, at)) {
        ends.push_back(at);
        break;
      }
      ++n_tries;
    }
  }
  ends.push_back(text.size());
  return ends;
}

/// Whether text behind the token begins anew.
bool VocabTokenizer::is_mark(Token token) const noexcept {
  const TokenType type = vocab_.type(token);
  return type == TokenType::control || type == TokenType::user_defined || (type == TokenType::unknown && token == special().unk);
}

/// The place behind a mark that ends at `at`, and behind the white space that it takes along.
std::size_t VocabTokenizer::behind(Token mark, std::string_view text, std::size_t at) const noexcept {
  if (!vocab_.strips_space_behind(mark)) return at;
  for (unicode::Char c; ((c = unicode::char_at(text, at)).set & unicode::kSpace) != 0;) at += c.size;
  return at;
}

TextMatcher::Match VocabTokenizer::find_mark(std::string_view text, std::size_t begin, const EncodeOptions& options) const noexcept {
  if (!options.parse_special) return usual_marks().find(text, begin);
  if (!options.special_in) return marks_.find(text, begin);
  return marks_.find_within(*options.special_in, untrusted_marks_, text, begin);
}

/// The part from `begin` to the end of `text`.
Status VocabTokenizer::encode_part(std::string_view text, std::size_t begin, const EncodeOptions& options, TextEncoder& encoder,
                                   SpanNotes& spans, std::vector<Token>& out) const {
  if (begin > 0 && is_cancelled(options.cancel)) return Status::error(Code::cancelled, "cancelled while the text was cut into tokens");
  bool continued = begin > 0;
  if (begin == 0 && vocab_.contains(options.previous)) {
    continued = !is_mark(options.previous);
    if (!continued) begin = behind(options.previous, text, 0);
  }
  for (;;) {
    const TextMatcher::Match match = find_mark(text, begin, options);
    const std::size_t end = match.found() ? match.begin : text.size();
    spans.begin_part(begin);
    INFER_TRY(encoder.encode(text.substr(begin, end - begin), continued, out));
    if (!match.found()) return {};
    out.push_back(match.token);
    begin = match.begin + match.size;
    spans.add_text(match.begin, begin);
    begin = behind(match.token, text, begin);
    continued = false;
  }
}

Status VocabTokenizer::encode_at_once(std::string_view text, std::span<const std::size_t> ends, const EncodeOptions& options,
                                      ThreadPool& pool, std::vector<Token>& out) const {
  struct Part {
    std::vector<Token> tokens;
    Status status;
    bool done = false;
  };
  std::vector<Part> parts(ends.size());
  std::vector<std::unique_ptr<TextEncoder>> encoders;
  SpanNotes none;
  for (int worker = 0; worker < pool.size(); ++worker) encoders.push_back(make_encoder(options, none));
  const auto encode = [&](std::size_t i, std::size_t worker) {
    const std::size_t begin = i == 0 ? 0 : ends[i - 1];
    parts[i].tokens.clear();
    parts[i].status = encode_part(text.substr(0, ends[i]), begin, options, *encoders[worker], none, parts[i].tokens);
    parts[i].done = true;
  };
  pool.parallel_for(static_cast<std::int64_t>(parts.size()), 1, [&](int worker, std::int64_t first, std::int64_t last) noexcept {
    const auto w = static_cast<std::size_t>(worker);
    for (std::int64_t i = first; i < last && encoders[w] != nullptr; ++i) {
      try {
        encode(static_cast<std::size_t>(i), w);
      } catch (const std::exception&) {   // no memory; the encoder may have stopped halfway
        encoders[w].reset();
      }
    }
  });
  std::size_t n_tokens = out.size();
  for (const Part& part : parts) n_tokens += part.tokens.size();
  out.reserve(n_tokens);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].done) {   // the caller fails for want of memory as it would without threads, or is luckier
      if (encoders[0] == nullptr) encoders[0] = make_encoder(options, none);
      encode(i, 0);
    }
    INFER_TRY(std::move(parts[i].status));
    out.insert(out.end(), parts[i].tokens.begin(), parts[i].tokens.end());
    parts[i].tokens = {};
  }
  return {};
}

}  // namespace infer
