// SPDX-License-Identifier: MIT
// Version, status names and error objects.
#include "capi/handles.h"

extern "C" {

uint32_t infer_abi_version(void) { return static_cast<uint32_t>(INFER_ABI_MAJOR) << 16 | INFER_ABI_MINOR; }

const char* infer_version_string(void) { return INFER_VERSION; }

const char* infer_build_info(void) {
#if defined(__clang__)
  return "libinfer " INFER_VERSION ", clang " __clang_version__;
#else
  return "libinfer " INFER_VERSION ", gcc " __VERSION__;
#endif
}

const char* infer_status_name(infer_status code) { return infer::code_name(static_cast<infer::Code>(code)); }
const char* infer_status_text(infer_status code) { return infer::code_text(static_cast<infer::Code>(code)); }

infer_status infer_error_code(const infer_error* err) { return err == nullptr ? INFER_OK : err->code; }

const char* infer_error_message(const infer_error* err) {
  if (err == nullptr) return "";
  return err->text == nullptr ? infer_status_text(err->code) : err->text->message.c_str();
}

const char* infer_error_subject(const infer_error* err) {
  return err == nullptr || err->text == nullptr ? "" : err->text->subject.c_str();
}

int64_t infer_error_offset(const infer_error* err) {
  return err == nullptr || err->text == nullptr ? infer::Status::kNoOffset : err->text->offset;
}

void infer_error_release(infer_error* err) {
  if (err == nullptr || err->text == nullptr) return;   // the static objects stay
  delete err->text;
  delete err;
}

}  // extern "C"
