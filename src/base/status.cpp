// SPDX-License-Identifier: MIT
// The table of codes: the name that the C ABI shows and one sentence on what the code means.
// Tested by tests/base/status_test.cpp.
#include "libinfer/status.h"

namespace infer {
namespace {

struct CodeFacts {
  Code code;
  const char* name;
  const char* text;
};

constexpr CodeFacts kCodes[] = {
    {Code::ok, "INFER_OK", "the call succeeded"},
    {Code::done, "INFER_DONE", "there is nothing more to come"},
    {Code::internal, "INFER_E_INTERNAL", "a fault in libinfer itself; please report it"},
    {Code::nomem, "INFER_E_NOMEM", "memory could not be allocated"},
    {Code::budget, "INFER_E_BUDGET", "the plan needs more memory than the caller allows"},
    {Code::argument, "INFER_E_ARGUMENT", "an argument is not valid"},
    {Code::range, "INFER_E_RANGE", "a number is outside its range"},
    {Code::state, "INFER_E_STATE", "the object is not in a state for this call"},
    {Code::busy, "INFER_E_BUSY", "another thread is using the object"},
    {Code::cancelled, "INFER_E_CANCELLED", "the call was cancelled"},
    {Code::buffer, "INFER_E_BUFFER", "the buffer is too small for the result"},
    {Code::unsupported, "INFER_E_UNSUPPORTED", "libinfer does not support this"},
    {Code::notfound, "INFER_E_NOTFOUND", "there is nothing of that name"},
    {Code::handle, "INFER_E_HANDLE", "a handle is of another kind, or was released"},
    {Code::forked, "INFER_E_FORKED", "the session was made by the parent of this process; make a new one here"},
    {Code::callback, "INFER_E_CALLBACK", "a callback of the host stopped the call, or failed it"},
    {Code::io, "INFER_E_IO", "a file, or the system's source of random numbers, could not be read or written"},
    {Code::nofile, "INFER_E_NOFILE", "there is no such file"},
    {Code::permission, "INFER_E_PERMISSION", "this process may not read or write the file"},
    {Code::truncated_file, "INFER_E_TRUNCATED_FILE", "the file is empty or ends too early"},
    {Code::format, "INFER_E_FORMAT", "the file is not a model in a format that libinfer reads"},
    {Code::version, "INFER_E_VERSION", "the version of the file format is not supported"},
    {Code::limit, "INFER_E_LIMIT", "a size or a count exceeds a limit of libinfer"},
    {Code::arch, "INFER_E_ARCH", "the model's architecture is not supported"},
    {Code::metadata, "INFER_E_METADATA", "the model's metadata is missing a key or has a bad value"},
    {Code::tensor, "INFER_E_TENSOR", "a tensor is missing, misplaced or of the wrong shape"},
    {Code::quant_type, "INFER_E_QUANT_TYPE", "a tensor has an element type that is not supported"},
    {Code::vocab, "INFER_E_VOCAB", "the model's vocabulary is missing or not valid"},
    {Code::pretokenizer, "INFER_E_PRETOKENIZER", "the model's pre-tokenizer is not supported"},
    {Code::shard, "INFER_E_SHARD", "the parts of a sharded model are incomplete or do not belong together"},
    {Code::token, "INFER_E_TOKEN", "a token id is outside the vocabulary"},
    {Code::utf8, "INFER_E_UTF8", "a text is not valid UTF-8"},
    {Code::chat_template, "INFER_E_TEMPLATE", "a chat template is wrong, or refuses the conversation"},
    {Code::template_limit, "INFER_E_TEMPLATE_LIMIT", "a chat template needs more steps, output or nesting than allowed"},
    {Code::context_full, "INFER_E_CONTEXT_FULL", "the context has no room for more tokens"},
    {Code::sequence, "INFER_E_SEQUENCE", "a sequence is not open, or none is free"},
    {Code::kv_type, "INFER_E_KV_TYPE", "keys and values cannot be stored in that type"},
    {Code::sampler, "INFER_E_SAMPLER", "a sampler is unknown or its parameters are not valid"},
};

constexpr CodeFacts kUnknown = {Code::internal, "INFER_E_UNKNOWN", "the number is not a code of libinfer"};

const CodeFacts& facts(Code code) noexcept {
  for (const CodeFacts& row : kCodes) {
    if (row.code == code) return row;
  }
  return kUnknown;
}

}  // namespace

const char* code_name(Code code) noexcept { return facts(code).name; }
const char* code_text(Code code) noexcept { return facts(code).text; }

}  // namespace infer
