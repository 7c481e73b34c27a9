// SPDX-License-Identifier: MIT
// Looks tensors up, checks them, and writes the complaints. Tested by tests/models/binder_test.cpp.
#include "models/binder.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

namespace infer {
namespace {

constexpr std::size_t kShown = 10;   // complaints in words

/// As GGUF writes it: innermost first.
std::string text_of(std::initializer_list<std::int64_t> shape) {
  std::string out;
  for (const std::int64_t n : shape) out += fmt::format("{}{}", out.empty() ? "[" : ", ", n);
  return out + "]";
}

}  // namespace

void Binder::complain(Code code, std::string_view tensor, std::string what) {
  if (n_complaints_++ < kShown) complaints_.push_back({code, std::string(tensor), std::move(what)});
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

void Binder::missing(std::string_view tensor, std::initializer_list<std::int64_t> shape) {
  complain(Code::tensor, tensor, fmt::format("is missing (expected {})", text_of(shape)));
}

/// Complains where the tensor has another shape. Trailing dimensions of 1 may be there or not.
bool Binder::fits(const TensorMeta& tensor, std::initializer_list<std::int64_t> shape) {
  Shape expected;   // what it leaves open is 1
  std::copy(shape.begin(), shape.end(), expected.dims.begin());
  const bool same = tensor.shape.dims == expected.dims;
  if (!same) {
    complain(Code::tensor, tensor.name,
             fmt::format("has shape {}, expected {}", to_string(tensor.shape), text_of(shape)));
  }
  return same;
}

void Binder::fill(Linear& out, const TensorMeta& tensor, const QuantFormat& format) const {
  out.weight = weights_.view(tensor);
  out.format = &format;
  out.matmul = kernels_.matmul[static_cast<std::size_t>(tensor.dtype)];
  out.matmul_rows = kernels_.matmul_rows;
}

/// False: absent.
bool Binder::matrix(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols, Bias bias) {
  const std::string bias_name = fmt::format("{}.bias", name);
  const TensorMeta* tensor = take(fmt::format("{}.weight", name));
  std::span<const float> bias_values;
  if (bias == Bias::required || (bias == Bias::optional && has(bias_name))) bias_values = required_vector(bias_name, rows);
  if (tensor == nullptr) return false;
  out.bias = bias_values.data();
  if (!fits(*tensor, {cols, rows})) return true;
  if (const QuantFormat* format = runnable(*tensor)) fill(out, *tensor, *format);
  return true;
}

void Binder::linear(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols, Bias bias) {
  if (!matrix(out, name, rows, cols, bias)) missing(fmt::format("{}.weight", name), {cols, rows});
  products_.push_back(&out);
}

void Binder::split(std::initializer_list<Part> parts, std::string_view name, std::int64_t cols, Bias bias) {
  std::int64_t rows = 0;
  for (const Part& part : parts) rows += part.rows;
  Linear whole;
  if (!matrix(whole, name, rows, cols, bias)) missing(fmt::format("{}.weight", name), {cols, rows});
  std::int64_t row = 0;
  for (const Part& part : parts) {
    part.out = whole;
    if (whole.present()) part.out.weight = whole.weight.slice(row, part.rows);
    if (whole.bias != nullptr) part.out.bias = whole.bias + row;
    products_.push_back(&part.out);
    row += part.rows;
  }
}

void Binder::experts(std::vector<FfnWeights>& out, Linear FfnWeights::*part, std::int64_t n, std::string_view name,
                     std::int64_t rows, std::int64_t cols) {
  if (!has(fmt::format("{}.0.weight", name))) return stacked(out, {part}, n, name, rows, cols);
  for (std::int64_t e = 1; e < n; ++e) {
    const std::string one = fmt::format("{}.{}.weight", name, e);
    if (!has(one)) return missing(one, {cols, rows});   // before memory is taken for so many
  }
  out.resize(static_cast<std::size_t>(n));   // the same for every part: nothing moves
  for (std::int64_t e = 0; e < n; ++e) {
    linear(out[static_cast<std::size_t>(e)].*part, fmt::format("{}.{}", name, e), rows, cols);
  }
}

void Binder::expert_pairs(std::vector<FfnWeights>& out, Linear FfnWeights::*first, Linear FfnWeights::*second,
                          std::int64_t n, std::string_view name, std::int64_t rows, std::int64_t cols) {
  stacked(out, {first, second}, n, name, rows, cols);
}

/// NAME_exps.weight: of each expert all parts, one below the other, with that many rows each.
void Binder::stacked(std::vector<FfnWeights>& out, std::initializer_list<Linear FfnWeights::*> parts, std::int64_t n,
                     std::string_view name, std::int64_t rows, std::int64_t cols) {
  const std::int64_t all_rows = static_cast<std::int64_t>(parts.size()) * rows;
  const std::string tensor_name = fmt::format("{}_exps.weight", name);
  const TensorMeta* tensor = take(tensor_name);
  if (tensor == nullptr) return missing(tensor_name, {cols, all_rows, n});
  const QuantFormat* format = fits(*tensor, {cols, all_rows, n}) ? runnable(*tensor) : nullptr;
  if (format == nullptr) return;
  Linear whole;
  fill(whole, *tensor, *format);
  out.resize(static_cast<std::size_t>(n));
  std::int64_t row = 0;
  for (FfnWeights& expert : out) {
    for (Linear FfnWeights::*const part : parts) {
      expert.*part = whole;
      (expert.*part).weight = whole.weight.slice(row, rows);
      products_.push_back(&(expert.*part));
      row += rows;
    }
  }
}

void Binder::table(Linear& out, std::string_view name, std::int64_t rows, std::int64_t cols) {
  if (!matrix(out, name, rows, cols, Bias::none)) missing(fmt::format("{}.weight", name), {cols, rows});
}

void Binder::tie(Linear& out, const Linear& table) {
  out = table;
  products_.push_back(&out);
}

std::span<const float> Binder::vector(const TensorMeta& tensor, std::int64_t n) {
  if (!fits(tensor, {n})) return {};
  if (info(tensor.dtype).block_elems != 1) {
    complain(Code::tensor, tensor.name,
             fmt::format("is a vector of type {}; vectors are F32, F16 or BF16", info(tensor.dtype).name));
    return {};
  }
  const QuantFormat* format = runnable(tensor);
  return format == nullptr ? std::span<const float>() : weights_.widen(tensor, format->decode);
}

std::span<const float> Binder::required_vector(std::string_view tensor_name, std::int64_t n) {
  if (const TensorMeta* tensor = take(tensor_name)) return vector(*tensor, n);
  missing(tensor_name, {n});
  return {};
}

void Binder::norm(Norm& out, std::string_view name, std::int64_t n, float eps, NormKind kind) {
  out = {.kind = kind, .weight = required_vector(fmt::format("{}.weight", name), n).data(), .eps = eps};
  if (kind == NormKind::layer) out.bias = required_vector(fmt::format("{}.bias", name), n).data();
}

void Binder::divisors(std::span<const float>& out, std::string_view tensor_name, std::int64_t n) {
  out = required_vector(tensor_name, n);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!(out[i] > 0.0f) || !std::isfinite(out[i])) {
      complain(Code::tensor, tensor_name, fmt::format("[{}] = {} is not a finite number above zero", i, out[i]));
      return;
    }
  }
}

void Binder::judge_unbound(const ModelDescriptor& model, std::int64_t n_layers, std::vector<std::string>& warnings) {
  constexpr std::string_view kLayer = "blk.";
  constexpr std::string_view kEnds[] = {"token_embd", "position_embd", "output", "rope_f"};
  constexpr std::string_view kUnused = ".attn_rot_embd.weight";   // old converters wrote the RoPE frequencies, too
  std::size_t n_ignored = 0;
  std::string_view example;
  for (const TensorMeta& tensor : model.tensors) {
    if (bound_.contains(&tensor)) continue;
    const std::string_view name = tensor.name;
    std::int64_t layer = -1;
    if (name.starts_with(kLayer)) std::from_chars(name.data() + kLayer.size(), name.data() + name.size(), layer);
    const bool in_layer = layer >= 0 && layer < n_layers && !name.ends_with(kUnused);
    const bool at_the_ends = std::any_of(std::begin(kEnds), std::end(kEnds),
                                         [&](std::string_view begin) { return name.starts_with(begin); });
    if (in_layer || at_the_ends) {
      complain(Code::tensor, name, "is unknown to this architecture; running without it would give wrong answers");
    } else if (n_ignored++ == 0) {
      example = name;
    }
  }
  if (n_ignored == 1) warnings.push_back(fmt::format("tensor '{}' is not used", example));
  if (n_ignored > 1) warnings.push_back(fmt::format("{} tensors are not used, '{}' among them", n_ignored, example));
}

Status Binder::finish() const {
  if (n_complaints_ == 0) return {};
  std::string text = n_complaints_ == 1 ? "" : fmt::format("{} tensors do not fit: ", n_complaints_);
  for (std::size_t i = 0; i < complaints_.size(); ++i) {
    text += fmt::format("{}tensor '{}' {}", i == 0 ? "" : "; ", complaints_[i].tensor, complaints_[i].what);
  }
  if (n_complaints_ > complaints_.size()) text += fmt::format("; and {} more", n_complaints_ - complaints_.size());
  return Status::error(complaints_[0].code, std::move(text)).about(complaints_[0].tensor);
}

}  // namespace infer
