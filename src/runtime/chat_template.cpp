// SPDX-License-Identifier: MIT
// ChatTemplate: where a template comes from, what of a conversation becomes which variable, and how its prompt becomes tokens.
// Tested by tests/runtime/chat_template_test.cpp and tests/capi/template_test.cpp.
#include "libinfer/chat_template.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "libinfer/model.h"
#include "libinfer/text.h"
#include "src/runtime/messages_impl.h"
#include "tokenizers/chat/builtin.h"
#include "tokenizers/chat/template.h"

namespace infer {
namespace {

using chat::BuiltinTemplate;
using chat::Value;

Value trusted(std::string_view text) { return Value::string(text, chat::Origin::trusted); }

/// The text of a token, or nothing.
Value token_text(const Tokenizer* tokenizer, Token token) {
  return trusted(tokenizer == nullptr || token == kNoToken ? std::string_view() : tokenizer->text(token));
}

std::string names_of_builtins() {
  std::string names;
  for (const BuiltinTemplate& known : chat::builtin_templates()) names += fmt::format("{}{}", names.empty() ? "" : ", ", known.name);
  return names;
}

bool has_mark(const TokenizerSpec& spec, std::string_view mark) {
  for (std::size_t i = 0; i < spec.tokens.size(); ++i) {
    if (spec.tokens[i] != mark) continue;
    if (spec.types.empty()) return true;
    const std::int32_t type = i < spec.types.size() ? spec.types[i] : 0;
    return type == static_cast<std::int32_t>(TokenType::control) || type == static_cast<std::int32_t>(TokenType::user_defined);
  }
  return false;
}

/// The built-in template that the vocabulary has the marks of, or null.
const BuiltinTemplate* meant_for(const TokenizerSpec& spec) {
  for (const BuiltinTemplate& known : chat::builtin_templates()) {
    if (known.marks[0].empty() || (!known.tokenizer.empty() && known.tokenizer != spec.model)) continue;
    const bool has_all = std::all_of(known.marks.begin(), known.marks.end(),
                                     [&](std::string_view mark) { return mark.empty() || has_mark(spec, mark); });
    if (has_all) return &known;
  }
  return nullptr;
}

}  // namespace

struct ChatTemplate::Impl {
  chat::Template compiled;
  std::string source;
  std::string origin;
  bool is_chosen_by_rule;
};

std::vector<TextSpan> ChatPrompt::trusted_from(std::size_t begin) const {
  std::vector<TextSpan> spans;
  std::size_t at = 0;
  for (const PromptSegment& segment : segments) {
    const std::size_t end = at + segment.text.size();
    if (segment.trusted && end > begin) spans.push_back({.begin = std::max(at, begin) - begin, .end = end - begin});
    at = end;
  }
  return spans;
}

Result<std::vector<Token>> ChatPrompt::tokens_from(std::size_t begin, Token previous, const Tokenizer& tokenizer,
                                                   const CancelFlag* cancel) const {
  const std::vector<TextSpan> spans = trusted_from(begin);
  return tokenizer.encode(std::string_view(text).substr(begin),
                          {.add_special = false, .parse_special = true, .special_in = spans, .previous = previous, .n_threads = 1,
                           .cancel = cancel});
}

Result<std::vector<Token>> ChatPrompt::tokens(const Tokenizer& tokenizer, const CancelFlag* cancel) const {
  INFER_ASSIGN(std::vector<Token> tokens, tokens_from(0, kNoToken, tokenizer, cancel));
  const SpecialTokens& special = tokenizer.special();
  if (special.bos == kNoToken) return tokens;
  const auto first_other = std::find_if(tokens.begin(), tokens.end(), [&](Token t) { return t != special.bos; });
  const bool has_bos = first_other != tokens.begin();
  tokens.erase(tokens.begin(), first_other);
  if (has_bos || special.add_bos) tokens.insert(tokens.begin(), special.bos);
  return tokens;
}

Result<ChatTemplate> ChatTemplate::compile(std::string text, std::string origin, bool is_chosen_by_rule) {
  INFER_ASSIGN(chat::Template compiled, chat::Template::compile(text));
  return ChatTemplate(std::make_shared<const Impl>(Impl{std::move(compiled), std::move(text), std::move(origin), is_chosen_by_rule}));
}

Result<ChatTemplate> ChatTemplate::compile(std::string_view text) { return compile(std::string(text), "given by the caller"); }

Result<ChatTemplate> ChatTemplate::builtin(std::string_view name) {
  for (const BuiltinTemplate& known : chat::builtin_templates()) {
    if (known.name == name) return compile(known.text(), fmt::format("the built-in template '{}', as asked for", name));
  }
  return Status::error(Code::notfound, fmt::format("no built-in chat template {}; there are: {}", quoted(name), names_of_builtins()))
      .about("name");
}

std::string_view ChatTemplate::builtin_name(std::size_t index) noexcept {
  const auto all = chat::builtin_templates();
  return index < all.size() ? all[index].name : std::string_view();
}

Result<ChatTemplate> ChatTemplate::of(const Model& model, std::string_view name) {
  const TokenizerSpec& spec = model.descriptor().tokenizer;
  std::string others;
  for (const ChatTemplateText& text : spec.chat_templates) {
    if (text.name != name) {
      others += fmt::format("{}{}", others.empty() ? "" : ", ", text.name.empty() ? "the default one" : quoted(text.name));
      continue;
    }
    if (text.text.empty() && text.bytes > 0) {
      return Status::error(Code::template_limit,
                           fmt::format("the model's chat template of {} bytes was not read, a warning of the model says why; give a "
                                       "built-in one by name ({})",
                                       text.bytes, names_of_builtins()));
    }
    return compile(text.text, name.empty() ? "the template of the model's file"
                                           : fmt::format("the template {} of the model's file", quoted(name)));
  }
  if (!name.empty()) {
    return Status::error(Code::notfound, fmt::format("the model's file has no chat template {}; it has: {}", quoted(name),
                                                     others.empty() ? "none" : others))
        .about("name");
  }
  if (const BuiltinTemplate* known = meant_for(spec)) {
    return compile(known->text(),
                   fmt::format("the built-in template '{}': the model's file has none, and its vocabulary has the turn marks of this "
                               "one ({})",
                               known->name, known->marks[0]),
                   true);
  }
  return Status::error(Code::notfound,
                       fmt::format("the model's file has no {}chat template, and its vocabulary has no turn marks that tell which "
                                   "built-in one is meant; name one: {}",
                                   others.empty() ? "" : "default ", names_of_builtins()));
}

Result<ChatPrompt> ChatTemplate::render(const Messages& messages, const RenderOptions& options) const {
  const Messages::Impl& given = *messages.impl_;
  chat::Inputs inputs;
  inputs.now = given.now;
  inputs.cancel = options.cancel;
  inputs.max_steps = options.max_steps;
  INFER_ASSIGN(Value list, chat::make_list(given.messages));
  INFER_ASSIGN(Value roles_trusted, chat::trust_roles(list));
  const auto set = [&inputs](std::string_view name, Value value) { inputs.variables.emplace_back(name, std::move(value)); };
  set("messages", std::move(roles_trusted));
  // As transformers has it, tools and documents are always there, if only as None.
  for (const std::string_view name : {"tools", "documents"}) {
    if (given.find(name) == nullptr) set(name, Value(chat::None{}));
  }
  const bool is_asked = options.add_generation_prompt.has_value();
  if (is_asked || given.find("add_generation_prompt") == nullptr) {
    set("add_generation_prompt", Value(options.add_generation_prompt.value_or(false)));
  }
  if (options.tokenizer != nullptr) {
    const SpecialTokens& special = options.tokenizer->special();
    if (given.find("bos_token") == nullptr) set("bos_token", token_text(options.tokenizer, special.bos));
    if (given.find("eos_token") == nullptr) set("eos_token", token_text(options.tokenizer, special.eos));
  }
  for (const auto& [name, value] : given.variables) {
    if (name == "add_generation_prompt" && is_asked) continue;
    const bool is_mark = (name == "bos_token" || name == "eos_token") && value.is_string();   // the model's own
    set(name, is_mark ? trusted(value.bytes()) : value);
  }

  INFER_ASSIGN(const chat::Text text, impl_->compiled.render(inputs));
  ChatPrompt prompt{.text = text.bytes(), .segments = {}};
  for (chat::Segment& segment : chat::segments(text)) {
    prompt.segments.push_back({std::move(segment.text), segment.origin == chat::Origin::trusted});
  }
  return prompt;
}

std::vector<std::string> ChatTemplate::unsupported() const { return impl_->compiled.unsupported(); }

const std::string& ChatTemplate::source() const noexcept { return impl_->source; }
const std::string& ChatTemplate::origin() const noexcept { return impl_->origin; }
bool ChatTemplate::is_chosen_by_rule() const noexcept { return impl_->is_chosen_by_rule; }

}  // namespace infer
