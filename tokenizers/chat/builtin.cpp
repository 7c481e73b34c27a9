// SPDX-License-Identifier: MIT
// The built-in chat templates, written after what the models' own ones print. See builtin.h.
#include "tokenizers/chat/builtin.h"

namespace infer::chat {
namespace {

// What all begin with: text(content) is a content that may be a list of parts; tools are refused, not left out unseen.
constexpr std::string_view kPrelude = R"jinja(
{%- macro text(content) -%}
{%- if content is string -%}{{ content }}
{%- elif content -%}{%- for part in content if part.type == 'text' -%}{{ part.text }}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- if tools -%}{{ raise_exception('this built-in template knows no tools: use the template of the model') }}{%- endif -%}
{%- for message in messages if message.tool_calls or message.role == 'tool' -%}
{{ raise_exception('this built-in template knows no tools: use the template of the model') }}
{%- endfor -%}
)jinja";

// Meta: Llama 2. The system prompt is part of the first question.
constexpr std::string_view kLlama2 = R"jinja(
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{%- set ns.system = '<<SYS>>\n' + text(message.content) + '\n<</SYS>>\n\n' -%}
{%- elif message.role == 'user' -%}
{{ bos_token + '[INST] ' + (ns.system + text(message.content)) | trim + ' [/INST]' }}{%- set ns.system = '' -%}
{%- else -%}{{ ' ' + text(message.content) | trim + ' ' + eos_token }}
{%- endif -%}
{%- endfor -%}
)jinja";

constexpr std::string_view kLlama3 = R"jinja(
{{- bos_token }}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + text(message.content) | trim + '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif -%}
)jinja";

// Mistral, by version of its own tokenizer: 1 to 3 put the system prompt into a question (the first, then the last), 7 has marks
// for it. Those for the byte-level vocabularies have no space after the marks.
constexpr std::string_view kGap = "{%- set gap = ' ' -%}", kNoGap = "{%- set gap = '' -%}";

constexpr std::string_view kMistralV1 = R"jinja(
{{- bos_token }}
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{%- set ns.system = text(message.content) + '\n\n' -%}
{%- elif message.role == 'user' -%}{{ ' [INST] ' + ns.system + text(message.content) + ' [/INST]' }}{%- set ns.system = '' -%}
{%- else -%}{{ ' ' + text(message.content) + eos_token }}
{%- endif -%}
{%- endfor -%}
)jinja";

constexpr std::string_view kMistralV3 = R"jinja(
{{- bos_token }}
{%- set ns = namespace(system='', last=-1) -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{%- set ns.system = text(message.content) + '\n\n' -%}{%- endif -%}
{%- if message.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{{ '[INST]' + gap + (ns.system if loop.index0 == ns.last else '') + text(message.content) + '[/INST]' }}
{%- elif message.role != 'system' -%}{{ gap + text(message.content) + eos_token }}
{%- endif -%}
{%- endfor -%}
)jinja";

constexpr std::string_view kMistralV7 = R"jinja(
{{- bos_token }}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{{ '[SYSTEM_PROMPT]' + gap + text(message.content) + '[/SYSTEM_PROMPT]' }}
{%- elif message.role == 'user' -%}{{ '[INST]' + gap + text(message.content) + '[/INST]' }}
{%- else -%}{{ gap + text(message.content) + eos_token }}
{%- endif -%}
{%- endfor -%}
)jinja";

constexpr std::string_view kChatml = R"jinja(
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' + text(message.content) + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}
)jinja";

constexpr std::string_view kPhi3 = R"jinja(
{%- for message in messages -%}
{{ '<|' + message.role + '|>\n' + text(message.content) + '<|end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|assistant|>\n' }}{%- endif -%}
)jinja";

constexpr std::string_view kPhi4 = R"jinja(
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '<|im_sep|>' + text(message.content) + '<|im_end|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant<|im_sep|>' }}{%- endif -%}
)jinja";

// Google: Gemma. The system prompt is part of the first question.
constexpr std::string_view kGemma = R"jinja(
{{- bos_token }}
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{%- set ns.system = text(message.content) + '\n\n' -%}
{%- else -%}
{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}
{{- ns.system + text(message.content) | trim + '<end_of_turn>\n' }}{%- set ns.system = '' -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}
)jinja";

constexpr std::string_view kZephyr = R"jinja(
{%- for message in messages -%}
{{ '<|' + message.role + '|>\n' + text(message.content) + eos_token + '\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|assistant|>\n' }}{%- endif -%}
)jinja";

constexpr std::string_view kVicuna = R"jinja(
{%- for message in messages -%}
{%- if message.role == 'system' -%}{{ text(message.content) + '\n\n' }}
{%- elif message.role == 'user' -%}{{ 'USER: ' + text(message.content) + '\n' }}
{%- else -%}{{ 'ASSISTANT: ' + text(message.content) + eos_token + '\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ 'ASSISTANT:' }}{%- endif -%}
)jinja";

constexpr std::array<std::string_view, 3> kMistralMarks{"[INST]", "[/INST]"}, kMistralMarks7{"[SYSTEM_PROMPT]", "[INST]", "[/INST]"};

constexpr BuiltinTemplate kTemplates[] = {
    {.name = "phi4", .body = kPhi4, .marks = {"<|im_start|>", "<|im_sep|>", "<|im_end|>"}},
    {.name = "chatml", .body = kChatml, .marks = {"<|im_start|>", "<|im_end|>"}},
    {.name = "llama3", .body = kLlama3, .marks = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}},
    {.name = "gemma", .body = kGemma, .marks = {"<start_of_turn>", "<end_of_turn>"}},
    {.name = "phi3", .body = kPhi3, .marks = {"<|user|>", "<|assistant|>", "<|end|>"}},
    {.name = "mistral-v7", .settings = kGap, .body = kMistralV7, .marks = kMistralMarks7, .tokenizer = "llama"},
    {.name = "mistral-v7-tekken", .settings = kNoGap, .body = kMistralV7, .marks = kMistralMarks7, .tokenizer = "gpt2"},
    {.name = "mistral-v3", .settings = kGap, .body = kMistralV3, .marks = kMistralMarks, .tokenizer = "llama"},
    {.name = "mistral-v3-tekken", .settings = kNoGap, .body = kMistralV3, .marks = kMistralMarks, .tokenizer = "gpt2"},
    {.name = "mistral-v1", .body = kMistralV1},
    {.name = "llama2", .body = kLlama2},
    {.name = "zephyr", .body = kZephyr},
    {.name = "vicuna", .body = kVicuna},
};

}  // namespace

std::string BuiltinTemplate::text() const { return std::string(kPrelude).append(settings).append(body); }

std::span<const BuiltinTemplate> builtin_templates() noexcept { return kTemplates; }

}  // namespace infer::chat
