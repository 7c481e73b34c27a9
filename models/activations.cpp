// SPDX-License-Identifier: MIT
// The layout of a forward pass's buffers. Tested by tests/runtime/session_test.cpp (plan equals use).
#include "libinfer/activations.h"

#include <algorithm>

#include "libinfer/architecture.h"

namespace infer {
namespace {

/// Both factors are bounded by models/config.cpp and the session's limits: their product fits in 63 bits.
std::uint64_t product(std::int64_t rows, std::int64_t cols) noexcept {
  return static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(cols);
}

MatF32 matrix(Workspace& workspace, std::int64_t rows, std::int64_t cols) noexcept {
  return {workspace.take<float>(MemoryClass::scratch, product(rows, cols)).data(), rows, cols, cols};
}

Rotation rotation(Workspace& w, std::int64_t batch, const RopeConfig& rope) noexcept {
  const std::int64_t n_pairs = rope.n_rot / 2;
  Rotation r;
  r.cos = matrix(w, batch, n_pairs);
  r.sin = matrix(w, batch, n_pairs);
  r.frequencies = w.take<double>(MemoryClass::scratch, product(1, n_pairs));
  return r;
}

}  // namespace

Activations layout_activations(Workspace& w, const DecoderConfig& c, const ActivationSizes& s) noexcept {
  const std::int64_t widest_ffn = std::max({c.n_ff, c.experts.n_ff, c.experts.n_ff_shared});
  Activations a;
  a.x = matrix(w, s.batch, c.n_embd);
  a.h = matrix(w, s.batch, c.n_embd);
  a.branch = matrix(w, s.batch, c.n_embd);
  a.q = matrix(w, s.batch, c.n_heads * c.key_dim);
  a.k = matrix(w, s.batch, c.n_kv_heads * c.key_dim);
  a.v = matrix(w, s.batch, c.n_kv_heads * c.value_dim);
  a.attn = matrix(w, s.batch, c.n_heads * c.value_dim);
  a.gate = matrix(w, s.batch, widest_ffn);
  a.up = matrix(w, s.batch, widest_ffn);
  a.rope = rotation(w, s.batch, c.rope);
  if (c.local_rope) a.local_rope = rotation(w, s.batch, *c.local_rope);
  if (c.experts.n > 0) {
    a.router = matrix(w, s.batch, c.experts.n);
    a.chosen = w.take<std::int32_t>(MemoryClass::scratch, product(s.batch, c.experts.n_used));
    a.chosen_weights = w.take<float>(MemoryClass::scratch, product(s.batch, c.experts.n_used));
    a.expert = matrix(w, s.batch, c.n_embd);
  }
  const std::int64_t widest = std::max({c.n_embd, c.n_heads * c.value_dim, widest_ffn});
  for (const InputForm form : kInputForms) {
    const std::int64_t bytes = input_bytes(form, (widest + input_block(form) - 1) / input_block(form) * input_block(form));
    a.input[static_cast<int>(form)] = w.take<std::byte>(MemoryClass::scratch, product(s.batch, bytes)).data();
  }
  a.scratch_bytes = s.scratch_bytes;
  a.scratch = w.take<std::byte>(MemoryClass::scratch, product(s.n_threads, static_cast<std::int64_t>(s.scratch_bytes))).data();
  a.logits = matrix(w, s.n_logits, c.n_vocab);
  return a;
}

}  // namespace infer
