// SPDX-License-Identifier: MIT
// The splitting rules. Models define theirs as regular expressions, quoted here above the scanner that gives the same
// pieces: of all alternatives the first that matches at a place is taken, and what none of them matches stays together
// as a piece. No scanner goes back by more than one run of characters, so all are linear. See pretokenize.h. Tested by
// tests/tokenizers/pretokenize_test.cpp.
#include "tokenizers/pretokenize.h"

#include <algorithm>

#include "tokenizers/unicode.h"

namespace infer {
namespace {

using namespace unicode;

/// The match at a place: its end. None: how far there is none, at least one character on.
struct Found {
  std::size_t end;
  bool matched = true;
};

/// Cuts a piece by the matches of a rule: Found rule(text, at).
template <auto kRule>
void split_by(std::string_view piece, std::uint32_t begin, std::vector<std::uint32_t>& ends) {
  const auto end_at = [&](std::size_t end) { ends.push_back(begin + static_cast<std::uint32_t>(end)); };
  std::size_t gap = 0;  // where what nothing matched begins
  for (std::size_t i = 0; i < piece.size();) {
    const Found found = kRule(piece, i);
    if (found.matched) {
      if (gap < i) end_at(i);
      end_at(found.end);
      gap = found.end;
    }
    i = found.end;
  }
  if (gap < piece.size()) end_at(piece.size());
}

/// Where the run of characters of this set ends that begins at `i`.
std::size_t run(std::string_view text, std::size_t i, Set set) noexcept {
  for (Char c; ((c = char_at(text, i)).set & set) != 0;) i += c.size;
  return i;
}

/// \p{N}{0,n}
std::size_t numbers(std::string_view text, std::size_t i, int n) noexcept {
  for (Char c; n > 0 && ((c = char_at(text, i)).set & kNumber) != 0; --n) i += c.size;
  return i;
}

char byte_at(std::string_view text, std::size_t i) noexcept { return i < text.size() ? text[i] : '\0'; }
bool is_line_end(std::string_view text, std::size_t i) noexcept {
  const char c = byte_at(text, i);
  return c == '\n' || c == '\r';
}

Found one_character(std::string_view text, std::size_t at) noexcept { return {at + char_at(text, at).size, false}; }

enum class Case { exact, any };

/// 's|'t|'re|'ve|'m|'ll|'d: the length, or 0. In any case U+017F is an s, too.
std::size_t contraction(std::string_view text, std::size_t at, Case letter_case) noexcept {
  if (byte_at(text, at) != '\'') return 0;
  const auto letter = [&](std::size_t i) {
    const char c = byte_at(text, at + i);
    return letter_case == Case::any && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  };
  const char first = letter(1);
  const char second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((second == 'e' && (first == 'r' || first == 'v')) || (first == 'l' && second == 'l')) return 3;
  return letter_case == Case::any && text.substr(at + 1).starts_with("\u017f") ? 3 : 0;
}

/// \s+(?!\S)|\s+ : white space but for the last character where something follows, unless that is all of it.
std::size_t spaces(std::string_view text, std::size_t at) noexcept {
  std::size_t last = at;
  std::size_t end = at;
  for (Char c; ((c = char_at(text, end)).set & kSpace) != 0; end += c.size) last = end;
  return end == text.size() || last == at ? end : last;
}

/// \s*[\r\n]+|\s+(?!\S)|\s+ : up to the last line end of the run, or as above.
std::size_t lines(std::string_view text, std::size_t at) noexcept {
  const std::size_t end = run(text, at, kSpace);
  for (std::size_t i = end; i > at; --i) {
    if (is_line_end(text, i - 1)) return i;
  }
  return spaces(text, at);
}

/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
Found gpt2(std::string_view text, std::size_t at) noexcept {
  if (const std::size_t n = contraction(text, at, Case::exact); n != 0) return {at + n};
  const std::size_t begin = at + (text[at] == ' ');
  const Set first = char_at(text, begin).set;
  for (const Set set : {kLetter, kNumber, static_cast<Set>(kAll & ~(kSpace | kLetter | kNumber))}) {
    if ((first & set) != 0) return {run(text, begin, set)};
  }
  return {spaces(text, at)};
}

/// The common form of the younger rules, in this order:
///   (?i:'s|'t|'re|'ve|'m|'ll|'d)          contractions before words
///   [^\r\n\p{L}\p{N}]?<letters>+          or, of mixed case, see cased_word; contractions may follow there
///   \p{N}{1,n_digits}
///    ?[^\s<letters>\p{N}]+<tail>*
///   \s*[\r\n]+|\s+(?!\S)|\s+
struct Style {
  enum Contractions { none, before, after };
  Contractions contractions = before;
  bool cased = false;
  Set letters = kLetter;
  int n_digits = 1;
  std::string_view tail = "\r\n";
};
constexpr Style kLlama3{.n_digits = 3};
constexpr Style kQwen2{};
constexpr Style kQwen35{.letters = kLetter | kMark};
constexpr Style kSeedCoder{.tail = ""};
constexpr Style kTekken{.contractions = Style::none, .cased = true, .tail = "\r\n/"};
constexpr Style kGpt4o{.contractions = Style::after, .cased = true, .n_digits = 3, .tail = "\r\n/"};

/// [^\r\n\p{L}\p{N}]?U*L+ or else [^\r\n\p{L}\p{N}]?U+L* with U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and
/// L = [\p{Ll}\p{Lm}\p{Lo}\p{M}]: the end, or `begin` if there is none. `begin` is behind the optional character.
std::size_t cased_word(std::string_view text, std::size_t at, std::size_t begin) noexcept {
  // Without a lower letter behind it the first form gives back characters of U until one is in L, too.
  std::size_t end_in_both = (char_at(text, at).set & kMark) != 0 ? begin : 0;
  std::size_t end = begin;
  for (Char c; ((c = char_at(text, end)).set & (kUpper | kCaseless | kMark)) != 0;) {
    end += c.size;
    if ((c.set & kUpper) == 0) end_in_both = end;
  }
  if ((char_at(text, end).set & kLower) != 0) return run(text, end, kLower | kCaseless | kMark);
  return end_in_both != 0 ? end_in_both : end;
}

template <const Style& kStyle>
Found styled(std::string_view text, std::size_t at) noexcept {
  if (kStyle.contractions == Style::before) {
    if (const std::size_t n = contraction(text, at, Case::any); n != 0) return {at + n};
  }
  const Char first = char_at(text, at);
  const bool may_precede = (first.set & (kLetter | kNumber)) == 0 && !is_line_end(text, at);
  const std::size_t begin = may_precede ? at + first.size : at;
  if (kStyle.cased) {
    const std::size_t end = cased_word(text, at, begin);
    if (end > begin || (end > at && (first.set & kMark) != 0)) {
      return {end + (kStyle.contractions == Style::after ? contraction(text, end, Case::any) : 0)};
    }
  } else if ((first.set & kNumber) == 0) {
    const std::size_t end = run(text, begin, kStyle.letters);
    if (end > begin || (first.set & kStyle.letters) != 0) return {end};
  }
  if ((first.set & kNumber) != 0) return {numbers(text, at, kStyle.n_digits)};
  const std::size_t rest = at + (text[at] == ' ');
  std::size_t end = run(text, rest, static_cast<Set>(kAll & ~(kSpace | kStyle.letters | kNumber)));
  if (end == rest) return {lines(text, at)};
  while (end < text.size() && kStyle.tail.find(text[end]) != std::string_view::npos) ++end;
  return {end};
}

// Steps of rules that are a sequence of splits.

/// A run of the set, or one character of it.
template <Set kSet>
Found runs_of(std::string_view text, std::size_t at) noexcept {
  const std::size_t end = run(text, at, kSet);
  return end > at ? Found{end} : one_character(text, at);
}
template <Set kSet>
Found each_of(std::string_view text, std::size_t at) noexcept {
  const Char c = char_at(text, at);
  return {at + c.size, (c.set & kSet) != 0};
}

/// \p{N}{1,3}
Found up_to_three_numbers(std::string_view text, std::size_t at) noexcept {
  const std::size_t end = numbers(text, at, 3);
  return end > at ? Found{end} : one_character(text, at);
}

/// ^\p{N}+|[0-9]\p{N}*
Found digits(std::string_view text, std::size_t at) noexcept {
  const Char first = char_at(text, at);
  const bool begins = (first.set & kNumber) != 0 && (at == 0 || first.size == 1);
  return begins ? Found{run(text, at, kNumber)} : one_character(text, at);
}

/// [0-9][0-9][0-9]
Found three_digits(std::string_view text, std::size_t at) noexcept {
  const auto is_digit = [&](std::size_t i) { return byte_at(text, i) >= '0' && byte_at(text, i) <= '9'; };
  return is_digit(at) && is_digit(at + 1) && is_digit(at + 2) ? Found{at + 3} : one_character(text, at);
}

/// [\r\n]
Found line_end(std::string_view text, std::size_t at) noexcept {
  return is_line_end(text, at) ? Found{at + 1} : one_character(text, at);
}

/// \s?<set>+
template <Set kSet>
Found space_and(std::string_view text, std::size_t at) noexcept {
  const Char first = char_at(text, at);
  const std::size_t begin = (first.set & kSpace) != 0 ? at + first.size : at;
  const std::size_t end = run(text, begin, kSet);
  return end > begin ? Found{end} : one_character(text, at);
}

/// \s+$
Found spaces_at_the_end(std::string_view text, std::size_t at) noexcept {
  const std::size_t end = run(text, at, kSpace);
  return end > at ? Found{end, end == text.size()} : one_character(text, at);
}

/// [\p{P}<signs>]+
template <const std::string_view& kSigns>
Found punctuation(std::string_view text, std::size_t at) noexcept {
  std::size_t end = at;
  for (Char c; (c = char_at(text, end)).size != 0; end += c.size) {
    if ((c.set & kPunctuation) == 0 && kSigns.find(text[end]) == std::string_view::npos) break;
  }
  return end > at ? Found{end} : one_character(text, at);
}
constexpr std::string_view kAllSigns = "$+<=>^`|~";  // all of ASCII that prints and is neither letter, number nor \p{P}
constexpr std::string_view kMostSigns = "$+<=>^|~";

// By code points, where models name them one by one.
struct Range {
  char32_t first, last;
};
template <std::size_t n>
bool contains(const Range (&ranges)[n], std::string_view text, std::size_t at) noexcept {
  if (at >= text.size()) return false;
  const char32_t code = code_of(text.substr(at));
  const auto range = std::lower_bound(std::begin(ranges), std::end(ranges), code,
                                      [](const Range& r, char32_t c) { return r.last < c; });
  return range != std::end(ranges) && range->first <= code;
}

/// <ranges>+ or \s?<ranges>+
template <const auto& kRanges, bool kSpaceBefore>
Found ranges(std::string_view text, std::size_t at) noexcept {
  const Char first = char_at(text, at);
  const std::size_t begin = kSpaceBefore && (first.set & kSpace) != 0 ? at + first.size : at;
  std::size_t end = begin;
  while (contains(kRanges, text, end)) end += char_at(text, end).size;
  if (end > begin) return {end};
  return {begin > at ? begin : at + first.size, begin > at && contains(kRanges, text, at)};  // a space that is in both
}

// Letters that have case, as they were when DeepSeek LLM was trained.
constexpr Range kCasedLetters[] = {
    {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},       {0xd8, 0xf6},
    {0xf8, 0x1ba},      {0x1bc, 0x1bf},     {0x1c4, 0x293},     {0x295, 0x2af},     {0x370, 0x373},
    {0x376, 0x376},     {0x377, 0x377},     {0x37b, 0x37d},     {0x37f, 0x37f},     {0x386, 0x386},
    {0x388, 0x38a},     {0x38c, 0x38c},     {0x38e, 0x3a1},     {0x3a3, 0x3f5},     {0x3f7, 0x481},
    {0x48a, 0x52f},     {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},   {0x13f8, 0x13fd},
    {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},   {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},
    {0x1e00, 0x1f15},   {0x1f18, 0x1f1d},   {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},
    {0x1f59, 0x1f59},   {0x1f5b, 0x1f5b},   {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},
    {0x1fb6, 0x1fbc},   {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},   {0x1fc6, 0x1fcc},   {0x1fd0, 0x1fd3},
    {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},   {0x1ff6, 0x1ffc},   {0x2102, 0x2102},
    {0x2107, 0x2107},   {0x210a, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},
    {0x213c, 0x213f},   {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2183},   {0x2184, 0x2184},
    {0x2c00, 0x2c7b},   {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},   {0x2cf2, 0x2cf2},   {0x2cf3, 0x2cf3},
    {0xa640, 0xa66d},   {0xa680, 0xa69b},   {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},
    {0xab70, 0xabbf},   {0xfb00, 0xfb06},   {0xfb13, 0xfb17},   {0xff21, 0xff3a},   {0xff41, 0xff5a},
    {0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2},
    {0x118a0, 0x118df}, {0x1e900, 0x1e943},
};
// [!-/:-~！-／：-～‘-‟　-。], with the letters in it that were taken out before
constexpr Range kDeepseekPunctuation[] = {{'!', '/'},       {':', '~'},       {0x2018, 0x201f},
                                          {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};
constexpr Range kDeepseekCjk[] = {{0x800, 0x9fa5}, {0xac00, 0xd7ff}};
constexpr Range kDeepseek3Cjk[] = {{0x3040, 0x30ff}, {0x4e00, 0x9fa5}};

/// [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
/// \s*[\r\n]+|\s+(?!\S)|\s+
Found deepseek3(std::string_view text, std::size_t at) noexcept {
  const auto is_ascii_letter = [&](std::size_t i) {
    const char c = static_cast<char>(byte_at(text, i) | 0x20);
    return c >= 'a' && c <= 'z';
  };
  const Char first = char_at(text, at);
  if (first.size == 1 && (first.set & (kPunctuation | kSymbol)) != 0 && is_ascii_letter(at + 1)) {
    std::size_t end = at + 1;
    while (is_ascii_letter(end)) ++end;
    return {end};
  }
  const bool may_precede = (first.set & (kLetter | kPunctuation | kSymbol)) == 0 && !is_line_end(text, at);
  const std::size_t begin = may_precede ? at + first.size : at;
  std::size_t end = run(text, begin, kLetter | kMark);
  if (end > begin || (first.set & kMark) != 0) return {end};

  const std::size_t signs = at + (text[at] == ' ');
  end = run(text, signs, kPunctuation | kSymbol);
  if (end > signs) {
    while (is_line_end(text, end)) ++end;
    return {end};
  }
  return (first.set & kSpace) != 0 ? Found{lines(text, at)} : one_character(text, at);
}

///  ?[^(\s|.,!?…。，、।۔،)]+
Found bloom(std::string_view text, std::size_t at) noexcept {
  const auto is_word = [&](std::size_t i) {
    if (i >= text.size() || (char_at(text, i).set & kSpace) != 0) return false;
    constexpr std::u32string_view kStops = U"(|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)";
    return kStops.find(code_of(text.substr(i))) == std::u32string_view::npos;
  };
  const std::size_t begin = at + (text[at] == ' ');
  std::size_t end = begin;
  while (is_word(end)) end += char_at(text, end).size;
  return end > begin ? Found{end} : one_character(text, at);
}

constexpr SplitStep kGpt2Steps[] = {split_by<gpt2>};
constexpr SplitStep kLlama3Steps[] = {split_by<styled<kLlama3>>};
constexpr SplitStep kQwen2Steps[] = {split_by<styled<kQwen2>>};
constexpr SplitStep kQwen35Steps[] = {split_by<styled<kQwen35>>};
constexpr SplitStep kSeedCoderSteps[] = {split_by<styled<kSeedCoder>>};
constexpr SplitStep kTekkenSteps[] = {split_by<styled<kTekken>>};
constexpr SplitStep kGpt4oSteps[] = {split_by<styled<kGpt4o>>};
constexpr SplitStep kStarcoderSteps[] = {split_by<each_of<kNumber>>, split_by<gpt2>};
// Falcon's isolates digits before it cuts them by three, but only when bytes have become characters. Numbers beyond
// ASCII are no digits then, so that a space before one is not cut off.
constexpr SplitStep kFalconSteps[] = {split_by<punctuation<kAllSigns>>, split_by<gpt2>, split_by<digits>,
                                      split_by<three_digits>};
constexpr SplitStep kDefaultSteps[] = {split_by<punctuation<kMostSigns>>, split_by<gpt2>, split_by<runs_of<kNumber>>,
                                       split_by<three_digits>};
constexpr SplitStep kDeepseekLlmSteps[] = {split_by<line_end>, split_by<ranges<kCasedLetters, true>>,
                                           split_by<ranges<kDeepseekPunctuation, true>>, split_by<spaces_at_the_end>,
                                           split_by<each_of<kNumber>>};
constexpr SplitStep kDeepseekCoderSteps[] = {split_by<line_end>, split_by<space_and<kLetter>>,
                                             split_by<space_and<kPunctuation>>, split_by<ranges<kDeepseekCjk, false>>,
                                             split_by<each_of<kNumber>>};
constexpr SplitStep kDeepseek3Steps[] = {split_by<up_to_three_numbers>, split_by<ranges<kDeepseek3Cjk, false>>,
                                         split_by<deepseek3>};
constexpr SplitStep kBloomSteps[] = {split_by<bloom>};
constexpr SplitStep kVikingSteps[] = {split_by<bloom>, split_by<each_of<kNumber>>};

// One row a name. What a model's own tokenizer file says beside the rule is in the row, too.
constexpr Pretokenizer kPretokenizers[] = {
    {.name = "default", .steps = kDefaultSteps},

    {.name = "gpt-2", .steps = kGpt2Steps},
    {.name = "phi-2", .steps = kGpt2Steps},
    {.name = "mpt", .steps = kGpt2Steps, .nfc = true},
    {.name = "olmo", .steps = kGpt2Steps, .nfc = true},
    {.name = "jais", .steps = kGpt2Steps},
    {.name = "gigachat", .steps = kGpt2Steps},
    {.name = "exaone4", .steps = kGpt2Steps},

    {.name = "starcoder", .steps = kStarcoderSteps},
    {.name = "refact", .steps = kStarcoderSteps},
    {.name = "command-r", .steps = kStarcoderSteps, .nfc = true},
    {.name = "smollm", .steps = kStarcoderSteps},
    {.name = "codeshell", .steps = kStarcoderSteps},
    {.name = "exaone", .steps = kStarcoderSteps},
    {.name = "minerva-7b", .steps = kStarcoderSteps},

    {.name = "llama-bpe", .steps = kLlama3Steps, .whole_words = true, .add_bos = true},
    {.name = "llama3", .steps = kLlama3Steps, .whole_words = true, .add_bos = true},
    {.name = "llama-v3", .steps = kLlama3Steps, .whole_words = true, .add_bos = true},
    {.name = "falcon3", .steps = kLlama3Steps, .whole_words = true, .add_bos = true},
    {.name = "smaug-bpe", .steps = kLlama3Steps},
    {.name = "dbrx", .steps = kLlama3Steps},
    {.name = "chatglm-bpe", .steps = kLlama3Steps},
    {.name = "glm4", .steps = kLlama3Steps},

    {.name = "qwen2", .steps = kQwen2Steps, .nfc = true},
    {.name = "qwen35", .steps = kQwen35Steps, .nfc = true},
    {.name = "deepseek-r1-qwen", .steps = kQwen2Steps, .nfc = true},
    {.name = "megrez", .steps = kQwen2Steps, .nfc = true},
    {.name = "stablelm2", .steps = kQwen2Steps},
    {.name = "grok-2", .steps = kQwen2Steps},
    {.name = "bailingmoe", .steps = kQwen2Steps},
    {.name = "seed-coder", .steps = kSeedCoderSteps},

    {.name = "tekken", .steps = kTekkenSteps, .whole_words = true, .add_bos = true},
    {.name = "gpt-4o", .steps = kGpt4oSteps},
    {.name = "llama4", .steps = kGpt4oSteps},

    {.name = "falcon", .steps = kFalconSteps},
    {.name = "deepseek-llm", .steps = kDeepseekLlmSteps, .joins_caseless = true},
    {.name = "deepseek-coder", .steps = kDeepseekCoderSteps},
    {.name = "deepseek-v3", .steps = kDeepseek3Steps},
    {.name = "bloom", .steps = kBloomSteps},
    {.name = "poro-chat", .steps = kBloomSteps},
    {.name = "gpt3-finnish", .steps = kBloomSteps},
    {.name = "viking", .steps = kVikingSteps},
};

}  // namespace

const Pretokenizer* find_pretokenizer(std::string_view name) noexcept {
  const auto row = std::find_if(std::begin(kPretokenizers), std::end(kPretokenizers),
                                [name](const Pretokenizer& p) { return p.name == name; });
  return row != std::end(kPretokenizers) ? row : nullptr;
}

std::string pretokenizer_names() {
  std::string names;
  for (const Pretokenizer& row : kPretokenizers) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

void split(const Pretokenizer& rule, std::string_view text, std::vector<std::uint32_t>& ends) {
  ends.clear();
  if (text.empty()) return;
  rule.steps.front()(text, 0, ends);
  std::vector<std::uint32_t> pieces;
  for (const SplitStep step : rule.steps.subspan(1)) {
    pieces.swap(ends);
    ends.clear();
    std::uint32_t begin = 0;
    for (const std::uint32_t end : pieces) {
      step(text.substr(begin, end - begin), begin, ends);
      begin = end;
    }
  }
}

// Why this holds for all rules. One step cuts at the place: the run of letters that the letter is in ends there, by itself
// or as a contraction; where a rule does not cut after caseless letters (joins_caseless) it isolates line ends and the
// Chinese marks. Before that step no match reaches across the place, because none has a letter and then one of these
// characters. And no side looks at the other: only white space looks ahead, as far as its run, which a letter ends; only
// `digits` looks back, at numbers. Nor does normal form C: none of these characters composes with one before it.
bool may_cut(const Pretokenizer& rule, std::string_view text, std::size_t at) noexcept {
  const std::string_view rest = text.substr(at);
  const bool space = text[at] == ' ';
  if (!space && text[at] != '\n' && !rest.starts_with("\u3002") && !rest.starts_with("\uff0c")) return false;
  for (std::size_t size = 1; size <= std::min<std::size_t>(at, 4); ++size) {
    const std::string_view character = text.substr(at - size, size);
    const Utf8Step step = utf8_step(character);
    if (step.state != Utf8State::valid || step.size != size) continue;
    return (char_at(character, 0).set & kLetter) != 0 && (size == 1 || !space || !rule.joins_caseless);
  }
  return false;
}

}  // namespace infer
