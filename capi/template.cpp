// SPDX-License-Identifier: MIT
// Chat templates and the prompts that they make.
#include <memory>
#include <string>

#include <fmt/format.h>

#include "capi/handles.h"

using infer::Code;
using infer::Result;
using infer::Status;
using namespace infer::capi;

namespace {

Status give_template(Result<infer::ChatTemplate> made, infer_template** out) {
  INFER_ASSIGN(infer::ChatTemplate compiled, std::move(made));
  *out = std::make_unique<infer_template>(std::move(compiled)).release();
  return {};
}

Status give_text(const std::string& from, const char** text, size_t* length) {
  *text = from.c_str();
  if (length != nullptr) *length = from.size();
  return {};
}

}  // namespace

extern "C" {

infer_status infer_template_compile(const char* text, size_t length, infer_template** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_ASSIGN(const std::string_view source, text_argument(text, length, "text"));
    return give_template(infer::ChatTemplate::compile(source), out);
  });
}

infer_status infer_template_of(const infer_model* model, const char* name, infer_template** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_TRY(check(model, "model"));
    return give_template(infer::ChatTemplate::of(*model->model, name == nullptr ? "" : name), out);
  });
}

infer_status infer_template_builtin(const char* name, infer_template** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    if (name == nullptr) return null_argument("name");
    return give_template(infer::ChatTemplate::builtin(name), out);
  });
}

const char* infer_template_builtin_name(size_t index) {
  const std::string_view name = infer::ChatTemplate::builtin_name(index);
  return name.empty() ? nullptr : name.data();   // a literal: NUL-terminated
}

void infer_template_retain(infer_template* chat_template) { retain(chat_template); }
void infer_template_release(infer_template* chat_template) { release(chat_template); }

infer_status infer_template_source(const infer_template* chat_template, const char** text, size_t* length, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(text, length));
    INFER_TRY(check(chat_template, "template"));
    return give_text(chat_template->compiled.source(), text, length);
  });
}

infer_status infer_template_origin(const infer_template* chat_template, const char** text, size_t* length, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(text, length));
    INFER_TRY(check(chat_template, "template"));
    return give_text(chat_template->compiled.origin(), text, length);
  });
}

int32_t infer_template_is_chosen_by_rule(const infer_template* chat_template) {
  return is(chat_template) && chat_template->compiled.is_chosen_by_rule() ? 1 : 0;
}

infer_status infer_template_check(const infer_template* chat_template, char* buffer, size_t capacity, size_t* need,
                                  infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(buffer, capacity, need));
    INFER_TRY(check(chat_template, "template"));
    std::string lines;
    for (const std::string& line : chat_template->compiled.unsupported()) lines += line + "\n";
    return copy_out(lines, buffer, capacity, need);
  });
}

infer_status infer_template_render_json(const infer_template* chat_template, const char* request, size_t length,
                                        infer_prompt** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_TRY(check(chat_template, "template"));
    INFER_ASSIGN(const std::string_view json, text_argument(request, length, "request"));
    INFER_ASSIGN(const infer::Messages messages, infer::Messages::parse(json));
    INFER_ASSIGN(infer::ChatPrompt prompt, chat_template->compiled.render(messages));
    *out = std::make_unique<infer_prompt>(std::move(prompt)).release();
    return {};
  });
}

infer_status infer_template_render(const infer_template* chat_template, const infer_model* model, const infer_messages* messages,
                                   int32_t flags, infer_prompt** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_TRY(check(chat_template, "template"));
    INFER_TRY(check_optional(model, "model"));
    INFER_TRY(check(messages, "messages"));
    INFER_TRY(check_flags(flags, INFER_RENDER_GENERATION_PROMPT));
    infer::RenderOptions options;
    if ((flags & INFER_RENDER_GENERATION_PROMPT) != 0) options.add_generation_prompt = true;
    if (model != nullptr) {
      INFER_ASSIGN(options.tokenizer, model->model->tokenizer());
    }
    INFER_ASSIGN(infer::ChatPrompt prompt, chat_template->compiled.render(*messages->messages, options));
    auto made = std::make_unique<infer_prompt>(std::move(prompt));
    if (options.tokenizer != nullptr) {
      INFER_ASSIGN(made->tokens, made->prompt.tokens(*options.tokenizer));
    }
    *out = made.release();
    return {};
  });
}

void infer_prompt_release(infer_prompt* prompt) { release(prompt); }

infer_status infer_prompt_text(const infer_prompt* prompt, const char** text, size_t* length, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(text, length));
    INFER_TRY(check(prompt, "prompt"));
    return give_text(prompt->prompt.text, text, length);
  });
}

infer_status infer_prompt_tokens(const infer_prompt* prompt, int32_t* tokens, size_t capacity, size_t* need, infer_error** err) {
  return guard(err, [&]() -> Status {
    if (need != nullptr) *need = 0;
    if (tokens == nullptr && capacity > 0) return null_argument("tokens");
    INFER_TRY(check(prompt, "prompt"));
    if (!prompt->tokens) {
      return Status::error(Code::state, "the prompt was rendered without a model, so it has no tokens; use infer_template_render");
    }
    return copy_tokens(*prompt->tokens, tokens, capacity, need);
  });
}

size_t infer_prompt_segment_count(const infer_prompt* prompt) {
  return is(prompt) ? prompt->prompt.segments.size() : 0;
}

infer_status infer_prompt_segment(const infer_prompt* prompt, size_t index, const char** text, size_t* length,
                                  int32_t* is_trusted, infer_error** err) {
  return guard(err, [&]() -> Status {
    if (is_trusted != nullptr) *is_trusted = 0;
    INFER_TRY(clear_text(text, length));
    INFER_TRY(check(prompt, "prompt"));
    const auto& segments = prompt->prompt.segments;
    if (index >= segments.size()) {
      return Status::error(Code::range, fmt::format("segment {} does not exist; there are {}", index, segments.size())).about("index");
    }
    if (is_trusted != nullptr) *is_trusted = segments[index].trusted ? 1 : 0;
    return give_text(segments[index].text, text, length);
  });
}

}  // extern "C"
