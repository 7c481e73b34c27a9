// SPDX-License-Identifier: MIT
// Fuzz target: any bytes as a chat template. It compiles, and what it holds that is not supported can be listed; or the
// error can be printed and has its place within the text.
#include <string>

#include "libinfer/chat_template.h"
#include "libinfer/text.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using infer::fuzz::require;
  const auto compiled = infer::ChatTemplate::compile({reinterpret_cast<const char*>(data), size});
  if (compiled.ok()) {
    for (const std::string& line : compiled.value().unsupported()) require(infer::is_printable_utf8(line));
    return 0;
  }
  const infer::Status& error = compiled.status();
  infer::fuzz::require_message(error);
  require(error.code() == infer::Code::chat_template || error.code() == infer::Code::template_limit);
  require(error.offset() >= infer::Status::kNoOffset && error.offset() <= static_cast<std::int64_t>(size));
  return 0;
}
