// SPDX-License-Identifier: MIT
// The bundled model, for tests that want real text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "libinfer/library.h"
#include "libinfer/model.h"
#include "libinfer/session.h"

namespace infer::testing {

inline std::string bundled_path() { return INFER_TEST_DATA_DIR "/war-and-peace-2.6m-q8_0.gguf"; }

/// Null when it cannot be loaded; the test that uses it then fails.
inline std::shared_ptr<const Model> bundled_model() {
  Result<std::shared_ptr<const Model>> model = Model::load(Library::builtin(), Source::from_path(bundled_path()), {});
  return model.ok() ? model.value() : nullptr;
}

inline std::vector<Token> tokens_of(const Model& model, std::string_view text) {
  return model.tokenizer().value()->encode(text, {}).value();
}

}  // namespace infer::testing
