// SPDX-License-Identifier: MIT
// Chat templates and the prompts that they make.
#include <memory>
#include <string>

#include <fmt/format.h>

#include "capi/handles.h"

using infer::Code;
using infer::Status;
using namespace infer::capi;

extern "C" {

infer_status infer_template_compile(const char* text, size_t length, infer_template** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_ASSIGN(const std::string_view source, text_argument(text, length, "text"));
    INFER_ASSIGN(infer::ChatTemplate compiled, infer::ChatTemplate::compile(source));
    *out = std::make_unique<infer_template>(std::move(compiled)).release();
    return {};
  });
}
void infer_template_retain(infer_template* chat_template) { retain(chat_template); }
void infer_template_release(infer_template* chat_template) { release(chat_template); }

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
    INFER_ASSIGN(infer::ChatPrompt prompt, chat_template->compiled.render(json));
    *out = std::make_unique<infer_prompt>(std::move(prompt)).release();
    return {};
  });
}

void infer_prompt_release(infer_prompt* prompt) { release(prompt); }

infer_status infer_prompt_text(const infer_prompt* prompt, const char** text, size_t* length, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(text, "text"));
    INFER_TRY(check(prompt, "prompt"));
    *text = prompt->prompt.text.c_str();
    if (length != nullptr) *length = prompt->prompt.text.size();
    return {};
  });
}

size_t infer_prompt_segment_count(const infer_prompt* prompt) {
  return is(prompt) ? prompt->prompt.segments.size() : 0;
}

infer_status infer_prompt_segment(const infer_prompt* prompt, size_t index, const char** text, size_t* length,
                                  int32_t* is_trusted, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(text, "text"));
    INFER_TRY(check(prompt, "prompt"));
    const auto& segments = prompt->prompt.segments;
    if (index >= segments.size()) {
      return Status::error(Code::range, fmt::format("segment {} of {}", index, segments.size())).about("index");
    }
    *text = segments[index].text.c_str();
    if (length != nullptr) *length = segments[index].text.size();
    if (is_trusted != nullptr) *is_trusted = segments[index].trusted ? 1 : 0;
    return {};
  });
}

}  // extern "C"
