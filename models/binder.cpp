// SPDX-License-Identifier: MIT
// Looks tensors up, checks them, and writes the complaints. Tested by tests/models/binder_test.cpp.
#include "models/binder.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace infer {
namespace {

/// As GGUF writes it: innermost first.
std::string matrix_shape(std::int64_t rows, std::int64_t cols) { return fmt::format("[{}, {}]", cols, rows); }

}  // namespace

void Binder::complain(Code code, std::string_view tensor, std::string what) {
  complaints_.push_back({code, std::string(tensor), std::move(what)});
}

/// The tensor of that name, which counts as bound from now on; null when there is none.
const TensorMeta* Binder::take(std::string_view name) {
  const TensorMeta* tensor = weights_.find(name);
  if (tensor != nullptr) bound_.insert(tensor);
  return tensor;
}

const QuantFormat* Binder::runnable(const TensorMeta& tensor) {
  for (const QuantFormat* q : quants_) {
    if (q->dtype == tensor.dtype) return q;
  }
  std::string known;
  for (const QuantFormat* q : quants_) known += fmt::format("{}{}", known.empty() ? "" : ", ", info(q->dtype).name);
  complain(Code::quant_type, tensor.name,
           fmt::format("has type {}, which cannot be run yet; known: {}", info(tensor.dtype).name, known));
  return nullptr;
}

/// False: absent.
bool Binder::matrix(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols) {
  const std::string tensor_name = fmt::format("{}.weight", name);
  const TensorMeta* tensor = take(tensor_name);
  if (tensor == nullptr) return false;
  if (tensor->shape.n_dims != 2 || tensor->shape.cols() != cols || tensor->shape.rows() != rows) {
    complain(Code::tensor, tensor_name,
             fmt::format("has shape {}, expected {}", to_string(tensor->shape), matrix_shape(rows, cols)));
    return true;
  }
  const QuantFormat* format = runnable(*tensor);
  if (format == nullptr) return true;
  out.weight = weights_.view(*tensor);
  out.format = format;
  out.matmul = kernels_.matmul[static_cast<std::size_t>(tensor->dtype)];
  out.matmul_rows = kernels_.matmul_rows;
  if (const TensorMeta* bias = take(fmt::format("{}.bias", name))) out.bias = vector(*bias, rows).data();
  return true;
}

bool Binder::optional_linear(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols) {
  if (!matrix(out, name, rows, cols)) return false;
  products_.push_back(&out);
  return true;
}

void Binder::linear(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols) {
  table(out, name, rows, cols);
  products_.push_back(&out);
}

void Binder::table(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols) {
  if (!matrix(out, name, rows, cols)) {
    complain(Code::tensor, fmt::format("{}.weight", name), fmt::format("is missing (expected {})", matrix_shape(rows, cols)));
  }
}

void Binder::tie(Linear& out, const Linear& table) {
  out = table;
  products_.push_back(&out);
}

std::span<const float> Binder::vector(const TensorMeta& tensor, std::int64_t n) {
  if (tensor.shape.n_dims != 1 || tensor.shape.cols() != n) {
    complain(Code::tensor, tensor.name, fmt::format("has shape {}, expected [{}]", to_string(tensor.shape), n));
    return {};
  }
  if (info(tensor.dtype).block_elems != 1) {
    complain(Code::tensor, tensor.name,
             fmt::format("is a vector of type {}; vectors are F32, F16 or BF16", info(tensor.dtype).name));
    return {};
  }
  const QuantFormat* format = runnable(tensor);
  return format == nullptr ? std::span<const float>() : weights_.widen(tensor, format->decode);
}

void Binder::norm(Norm& out, std::string_view name, std::int64_t n, float eps) {
  const std::string tensor_name = fmt::format("{}.weight", name);
  const TensorMeta* tensor = take(tensor_name);
  if (tensor == nullptr) {
    complain(Code::tensor, tensor_name, fmt::format("is missing (expected [{}])", n));
    return;
  }
  out = {.weight = vector(*tensor, n).data(), .eps = eps};
}

void Binder::optional_divisors(std::span<const float>& out, std::string_view tensor_name, std::int64_t n) {
  const TensorMeta* tensor = take(tensor_name);
  if (tensor == nullptr) return;
  out = vector(*tensor, n);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!(out[i] > 0.0f) || !std::isfinite(out[i])) {
      complain(Code::tensor, tensor_name, fmt::format("[{}] = {} is not a finite number above zero", i, out[i]));
      return;
    }
  }
}

void Binder::judge_unbound(const ModelDescriptor& model, std::int64_t n_layers, std::vector<std::string>& warnings) {
  constexpr std::string_view kLayer = "blk.";
  constexpr std::string_view kUnused = ".attn_rot_embd.weight";   // old converters wrote the RoPE frequencies, too
  std::size_t n_ignored = 0;
  std::string_view example;
  for (const TensorMeta& tensor : model.tensors) {
    if (bound_.contains(&tensor)) continue;
    const std::string_view name = tensor.name;
    std::int64_t layer = -1;
    if (name.starts_with(kLayer)) std::from_chars(name.data() + kLayer.size(), name.data() + name.size(), layer);
    if (layer >= 0 && layer < n_layers && !name.ends_with(kUnused)) {
      complain(Code::tensor, name, "is unknown to this architecture; running without it would give wrong answers");
    } else if (n_ignored++ == 0) {
      example = name;
    }
  }
  if (n_ignored == 1) warnings.push_back(fmt::format("tensor '{}' is not used", example));
  if (n_ignored > 1) warnings.push_back(fmt::format("{} tensors are not used, '{}' among them", n_ignored, example));
}

Status Binder::finish() const {
  constexpr std::size_t kShown = 10;
  if (complaints_.empty()) return {};
  std::string text = complaints_.size() == 1 ? "" : fmt::format("{} tensors do not fit: ", complaints_.size());
  for (std::size_t i = 0; i < std::min(kShown, complaints_.size()); ++i) {
    text += fmt::format("{}tensor '{}' {}", i == 0 ? "" : "; ", complaints_[i].tensor, complaints_[i].what);
  }
  if (complaints_.size() > kShown) text += fmt::format("; and {} more", complaints_.size() - kShown);
  return Status::error(complaints_[0].code, std::move(text)).about(complaints_[0].tensor);
}

}  // namespace infer
