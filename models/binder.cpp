// SPDX-License-Identifier: MIT
// Looks tensors up, checks them, and writes the complaints. Tested by tests/models/binder_test.cpp.
#include "models/binder.h"

#include <algorithm>
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

bool Binder::optional_linear(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols) {
  const std::string tensor_name = fmt::format("{}.weight", name);
  const TensorMeta* tensor = weights_.find(tensor_name);
  if (tensor == nullptr) return false;
  if (tensor->shape.n_dims != 2 || tensor->shape.cols() != cols || tensor->shape.rows() != rows) {
    complain(Code::tensor, tensor_name,
             fmt::format("has shape {}, expected {}", to_string(tensor->shape), matrix_shape(rows, cols)));
    return true;
  }
  const QuantFormat* format = runnable(*tensor);
  if (format == nullptr) return true;
  out.weight = weights_.view(*tensor);
  out.decode = format->decode;
  out.matmul = kernels_.matmul[static_cast<std::size_t>(tensor->dtype)];
  if (const TensorMeta* bias = weights_.find(fmt::format("{}.bias", name))) out.bias = vector(*bias, rows).data();
  return true;
}

void Binder::linear(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols) {
  if (!optional_linear(out, name, rows, cols)) {
    complain(Code::tensor, fmt::format("{}.weight", name), fmt::format("is missing (expected {})", matrix_shape(rows, cols)));
  }
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
  const TensorMeta* tensor = weights_.find(tensor_name);
  if (tensor == nullptr) {
    complain(Code::tensor, tensor_name, fmt::format("is missing (expected [{}])", n));
    return;
  }
  out = {.weight = vector(*tensor, n).data(), .eps = eps};
}

void Binder::optional_divisors(std::span<const float>& out, std::string_view tensor_name, std::int64_t n) {
  const TensorMeta* tensor = weights_.find(tensor_name);
  if (tensor == nullptr) return;
  out = vector(*tensor, n);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!(out[i] > 0.0f) || !std::isfinite(out[i])) {
      complain(Code::tensor, tensor_name, fmt::format("[{}] = {} is not a finite number above zero", i, out[i]));
      return;
    }
  }
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
