// SPDX-License-Identifier: MIT
// The layout of a forward pass's buffers. Tested by tests/runtime/session_test.cpp (plan equals use).
#include "libinfer/activations.h"

#include <algorithm>

#include "libinfer/architecture.h"

namespace infer {
namespace {

MatF32 matrix(Workspace& workspace, std::int64_t rows, std::int64_t cols) noexcept {
  // Both factors are bounded by models/config.cpp and the session's limits: their product fits in 63 bits.
  const std::uint64_t count = static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(cols);
  return {workspace.take<float>(MemoryClass::scratch, count).data(), rows, cols, cols};
}

}  // namespace

Activations layout_activations(Workspace& w, const DecoderConfig& c, const ActivationSizes& s) noexcept {
  const std::int64_t n_pairs = c.rope.n_rot / 2;
  Activations a;
  a.x = matrix(w, s.batch, c.n_embd);
  a.h = matrix(w, s.batch, c.n_embd);
  a.q = matrix(w, s.batch, c.n_heads * c.key_dim);
  a.k = matrix(w, s.batch, c.n_kv_heads * c.key_dim);
  a.v = matrix(w, s.batch, c.n_kv_heads * c.value_dim);
  a.attn = matrix(w, s.batch, c.n_heads * c.value_dim);
  a.gate = matrix(w, s.batch, c.n_ff);
  a.up = matrix(w, s.batch, c.n_ff);
  a.rope_cos = matrix(w, s.batch, n_pairs);
  a.rope_sin = matrix(w, s.batch, n_pairs);
  const std::int64_t widest = std::max({c.n_embd, c.n_heads * c.value_dim, c.n_ff});
  for (const InputForm form : kInputForms) {
    const std::int64_t bytes = input_bytes(form, (widest + input_block(form) - 1) / input_block(form) * input_block(form));
    a.input[static_cast<int>(form)] =
        w.take<std::byte>(MemoryClass::scratch, static_cast<std::uint64_t>(s.batch) * static_cast<std::uint64_t>(bytes)).data();
  }
  a.logits = matrix(w, s.n_logits, c.n_vocab);
  a.rope_frequencies = w.take<double>(MemoryClass::scratch, static_cast<std::uint64_t>(n_pairs));
  return a;
}

}  // namespace infer
