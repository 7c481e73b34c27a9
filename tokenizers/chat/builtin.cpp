// SPDX-License-Identifier: MIT
// The built-in chat templates, written after what the models' own ones print. See builtin.h.
#include "tokenizers/chat/builtin.h"

namespace infer::chat {
namespace {

// What all begin with: text(content) is a content that may be a list of parts; join(system, content) puts one more system message
// behind those that wait for a question (none: there are none). Tools, images and roles that a format has no place for are refused,
// not left out unseen. Without a model there may be no marks of begin and end.
constexpr std::string_view kPrelude = R"jinja(
{%- set bos_token = bos_token | default('', true) -%}
{%- set eos_token = eos_token | default('', true) -%}
{%- macro text(content) -%}
{%- if content is string -%}{{ content }}
{%- elif content -%}
{%- for part in content -%}
{%- if part.type != 'text' -%}
{{ raise_exception('this built-in template knows text only, not content of type "' ~ part.type ~ '": use the template of the model') }}
{%- endif -%}
{{ part.text }}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- macro join(system, content) -%}{{ text(content) if system is none else system + '\n\n' + text(content) }}{%- endmacro -%}
{%- macro refuse(role) -%}{{ raise_exception('this built-in template has no place for messages of role "' ~ role ~ '"') }}{%- endmacro -%}
{%- macro answered(system) -%}
{%- if system is not none -%}{{ raise_exception('a system message needs a message of the user behind it') }}{%- endif -%}
{%- endmacro -%}
{%- if tools -%}{{ raise_exception('this built-in template knows no tools: use the template of the model') }}{%- endif -%}
{%- for message in messages if message.tool_calls or message.role == 'tool' -%}
{{ raise_exception('this built-in template knows no tools: use the template of the model') }}
{%- endfor -%}
)jinja";

// Meta: Llama 2. The system prompt is part of the first question.
constexpr std::string_view kLlama2 = R"jinja(
{%- set ns = namespace(system=none) -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{%- set ns.system = join(ns.system, message.content) -%}
{%- elif message.role == 'user' -%}
{%- set system = '' if ns.system is none else '<<SYS>>\n' + ns.system + '\n<</SYS>>\n\n' -%}
{{ bos_token + '[INST] ' + (system + text(message.content)) | trim + ' [/INST]' }}{%- set ns.system = none -%}
{%- elif message.role == 'assistant' -%}{{ ' ' + text(message.content) | trim + ' ' + eos_token }}
{%- else -%}{{ refuse(message.role) }}
{%- endif -%}
{%- endfor -%}
{{ answered(ns.system) }}
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
{%- set ns = namespace(system=none) -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{%- set ns.system = join(ns.system, message.content) -%}
{%- elif message.role == 'user' -%}{{ ' [INST] ' + join(ns.system, message.content) + ' [/INST]' }}{%- set ns.system = none -%}
{%- elif message.role == 'assistant' -%}{{ ' ' + text(message.content) + eos_token }}
{%- else -%}{{ refuse(message.role) }}
{%- endif -%}
{%- endfor -%}
{{ answered(ns.system) }}
)jinja";

constexpr std::string_view kMistralV3 = R"jinja(
{{- bos_token }}
{%- set ns = namespace(system=none, open=none, last=-1) -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{%- set ns.system = join(ns.system, message.content) -%}{%- set ns.open = ns.system -%}{%- endif -%}
{%- if message.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- set ns.open = none -%}{%- endif -%}
{%- endfor -%}
{{ answered(ns.open) }}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{{ '[INST]' + gap + join(ns.system if loop.index0 == ns.last else none, message.content) + '[/INST]' }}
{%- elif message.role == 'assistant' -%}{{ gap + text(message.content) + eos_token }}
{%- elif message.role != 'system' -%}{{ refuse(message.role) }}
{%- endif -%}
{%- endfor -%}
)jinja";

constexpr std::string_view kMistralV7 = R"jinja(
{{- bos_token }}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{{ '[SYSTEM_PROMPT]' + gap + text(message.content) + '[/SYSTEM_PROMPT]' }}
{%- elif message.role == 'user' -%}{{ '[INST]' + gap + text(message.content) + '[/INST]' }}
{%- elif message.role == 'assistant' -%}{{ gap + text(message.content) + eos_token }}
{%- else -%}{{ refuse(message.role) }}
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
{%- set ns = namespace(system=none) -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{%- set ns.system = join(ns.system, message.content) -%}
{%- else -%}
{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}
{%- if message.role == 'user' and ns.system is not none -%}{{ ns.system + '\n\n' }}{%- set ns.system = none -%}{%- endif -%}
{{ text(message.content) | trim + '<end_of_turn>\n' }}
{%- endif -%}
{%- endfor -%}
{{ answered(ns.system) }}
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
{%- elif message.role == 'assistant' -%}{{ 'ASSISTANT: ' + text(message.content) + eos_token + '\n' }}
{%- else -%}{{ refuse(message.role) }}
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
