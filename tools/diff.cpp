// SPDX-License-Identifier: MIT
// infer diff: two model files tensor by tensor: types, shapes, and how far the weights are apart; and where the metadata
// differ. Files are only read, so their architecture need not be known. Tested by tests/tools/diff_test.cpp.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tools/arguments.h"
#include "tools/commands.h"
#include "tools/common.h"
#include "tools/progress_bar.h"

namespace tool {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kTrouble = 2;  // as of diff(1) and cmp(1)
constexpr std::size_t kPiece = 1 << 16;  // elements compared at a time

constexpr const char* kFooter =
    R"(rms is the root of the mean of (a - b)^2, relative rms the root of sum (a - b)^2 / sum a^2; the total pools all matrices
(tensors of two dimensions and more). Elements that are NaN or infinite in one file and not the same in the other are counted
and left out of the sums. Exit status: 0 the files hold the same, 1 they differ, 2 they could not be compared.)";

struct Arguments {
  ModelArguments model;
  std::string a, b;
  bool json = false;
};

/// Two stretches of weights, or many: sums of a and of a - b.
struct Distance {
  double sum_a = 0, sum_difference = 0;  // of squares
  std::uint64_t n = 0, n_not_finite = 0;
  double most = 0;
  std::uint64_t most_at = 0;

  void add(double a, double b) {
    const std::uint64_t at = n++;
    const double difference = std::abs(a - b);
    if (!std::isfinite(difference)) {
      const bool same = a == b || (std::isnan(a) && std::isnan(b));
      n_not_finite += same ? 0 : 1;
      return;
    }
    sum_a += a * a;
    sum_difference += difference * difference;
    if (difference <= most) return;
    most = difference;
    most_at = at;
  }
  void add(const Distance& other) {
    sum_a += other.sum_a;
    sum_difference += other.sum_difference;
    n += other.n;
    n_not_finite += other.n_not_finite;
    most = std::max(most, other.most);
  }
  bool is_zero() const { return sum_difference == 0 && n_not_finite == 0; }
  double rms() const { return n == 0 ? 0 : std::sqrt(sum_difference / static_cast<double>(n)); }
  /// Infinite where a is all zeros and b is not.
  double relative() const { return sum_difference == 0 ? 0 : std::sqrt(sum_difference / sum_a); }
};

struct Pair {
  infer_tensor_info a, b;
  std::size_t index_a, index_b;
  std::optional<Distance> distance;  // none where they cannot be compared
  std::string why;                   // not

  bool same() const { return std::string_view(a.type) == b.type && distance && distance->is_zero(); }
};

/// All that is known of two files.
struct Comparison {
  std::vector<Pair> pairs;
  std::vector<infer_tensor_info> only_a, only_b;
  Distance matrices;
  std::size_t n_matrices = 0;
  struct Value {
    std::string key, a, b;  // as JSON; "" where the file has no such key
  };
  std::vector<Value> metadata;

  bool same() const {
    return only_a.empty() && only_b.empty() && metadata.empty() &&
           std::all_of(pairs.begin(), pairs.end(), [](const Pair& p) { return p.same(); });
  }
};

std::vector<std::int64_t> shape(const infer_tensor_info& tensor) { return {tensor.dims, tensor.dims + tensor.n_dims}; }

std::uint64_t elements(const infer_tensor_info& tensor) {
  std::uint64_t n = 1;
  for (const std::int64_t dim : shape(tensor)) n *= static_cast<std::uint64_t>(dim);
  return n;
}

/// The place of element i, innermost index first.
std::vector<std::uint64_t> place(const infer_tensor_info& tensor, std::uint64_t i) {
  std::vector<std::uint64_t> at;
  for (const std::int64_t dim : shape(tensor)) {
    at.push_back(i % static_cast<std::uint64_t>(dim));
    i /= static_cast<std::uint64_t>(dim);
  }
  return at;
}

/// A value of the metadata. Not every value has a text of its own: null stands for what is not kept, U+FFFD for other bytes.
struct MetaValue {
  std::string text;   ///< type and JSON
  std::uint64_t fingerprint = 0;

  std::string text_beside(const MetaValue& other) const {
    return text == other.text ? fmt::format("{} (fingerprint {:016x})", text, fingerprint) : text;
  }
};

std::map<std::string, MetaValue> metadata(const libinfer::Model& model) {
  std::map<std::string, MetaValue> all;
  for (std::size_t i = 0; i < model.meta_count(); ++i) {
    const auto entry = model.meta(i);
    if (!entry) continue;
    const auto value = model.meta_json(entry->key);
    all[entry->key] = {fmt::format("{} {}", entry->type, value ? *value : value.error().message()), entry->fingerprint};
  }
  return all;
}

class Comparer {
 public:
  Comparer(const libinfer::Model& a, const libinfer::Model& b, const libinfer::Cancel* cancel)
      : a_(a), b_(b), cancel_(cancel) {}

  /// Nothing when it was cancelled or a file cannot be read; told then.
  std::optional<Comparison> run() {
    Comparison out;
    match(out);
    compare_metadata(out);
    std::uint64_t total = 0, done = 0;
    for (const Pair& pair : out.pairs) total += elements(pair.a);
    ProgressBar bar("comparing");
    for (Pair& pair : out.pairs) {
      bar.update(done, total, pair.a.name);
      if (!measure(pair)) return std::nullopt;
      done += elements(pair.a);
      if (!pair.distance || pair.a.n_dims < 2) continue;
      out.matrices.add(*pair.distance);
      ++out.n_matrices;
    }
    return out;
  }

 private:
  void match(Comparison& out) const {
    std::map<std::string, std::size_t> in_b;
    for (std::size_t i = 0; i < b_.tensor_count(); ++i) {
      if (const auto tensor = b_.tensor(i)) in_b[tensor->name] = i;
    }
    for (std::size_t i = 0; i < a_.tensor_count(); ++i) {
      const auto tensor = a_.tensor(i);
      if (!tensor) continue;
      const auto other = in_b.find(tensor->name);
      if (other == in_b.end()) {
        out.only_a.push_back(*tensor);
        continue;
      }
      if (const auto match = b_.tensor(other->second)) out.pairs.push_back({*tensor, *match, i, other->second, {}, {}});
      in_b.erase(other);
    }
    for (std::size_t i = 0; i < b_.tensor_count(); ++i) {
      const auto tensor = b_.tensor(i);
      if (tensor && in_b.count(tensor->name) > 0) out.only_b.push_back(*tensor);
    }
  }

  void compare_metadata(Comparison& out) const {
    const auto a = metadata(a_), b = metadata(b_);
    for (const auto& [key, value] : a) {
      const auto other = b.find(key);
      if (other == b.end()) {
        out.metadata.push_back({key, value.text, ""});
      } else if (other->second.text != value.text || other->second.fingerprint != value.fingerprint) {
        out.metadata.push_back({key, value.text_beside(other->second), other->second.text_beside(value)});
      }
    }
    for (const auto& [key, value] : b) {
      if (a.count(key) == 0) out.metadata.push_back({key, "", value.text});
    }
  }

  bool measure(Pair& pair) {
    if (shape(pair.a) != shape(pair.b)) {
      pair.why = "the shapes differ";
      return true;
    }
    Distance distance;
    const std::uint64_t n = elements(pair.a);
    for (std::uint64_t at = 0; at < n; at += kPiece) {
      if (cancel_ != nullptr && cancel_->is_set()) return fail("cancelled"), false;
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, n - at));
      values_a_.resize(count);
      values_b_.resize(count);
      auto read = a_.read_tensor(pair.index_a, at, values_a_.data(), count);
      if (read) read = b_.read_tensor(pair.index_b, at, values_b_.data(), count);
      if (!read) {
        if (read.error().code() != INFER_E_QUANT_TYPE) return fail(read.error()), false;
        pair.why = read.error().message();
        return true;
      }
      for (std::size_t i = 0; i < count; ++i) {
        distance.add(static_cast<double>(values_a_[i]), static_cast<double>(values_b_[i]));
      }
    }
    pair.distance = distance;
    return true;
  }

  const libinfer::Model& a_;
  const libinfer::Model& b_;
  const libinfer::Cancel* cancel_;
  std::vector<float> values_a_, values_b_;
};

/// JSON has no infinity: null.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

std::string as_json(const Arguments& arguments, const Comparison& comparison) {
  const auto names = [](const std::vector<infer_tensor_info>& tensors) {
    Json out = Json::array();
    for (const auto& t : tensors) out.push_back({{"name", t.name}, {"type", t.type}, {"shape", shape(t)}});
    return out;
  };
  Json tensors = Json::array(), keys = Json::array();
  for (const Pair& pair : comparison.pairs) {
    Json one = {{"name", pair.a.name}, {"type_a", pair.a.type}, {"type_b", pair.b.type}, {"shape_a", shape(pair.a)},
                {"shape_b", shape(pair.b)}, {"same", pair.same()}};
    if (pair.distance) {
      one["relative_rms"] = number(pair.distance->relative());
      one["rms"] = pair.distance->rms();
      one["max_abs"] = pair.distance->most;
      one["max_abs_at"] = place(pair.a, pair.distance->most_at);
      one["not_finite"] = pair.distance->n_not_finite;
    } else {
      one["not_compared"] = pair.why;
    }
    tensors.push_back(std::move(one));
  }
  const auto value = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  for (const auto& v : comparison.metadata) keys.push_back({{"key", v.key}, {"a", value(v.a)}, {"b", value(v.b)}});
  const Json out = {{"a", arguments.a},
                    {"b", arguments.b},
                    {"same", comparison.same()},
                    {"matrices", comparison.n_matrices},
                    {"relative_rms", number(comparison.matrices.relative())},
                    {"rms", comparison.matrices.rms()},
                    {"max_abs", comparison.matrices.most},
                    {"tensors", std::move(tensors)},
                    {"only_in_a", names(comparison.only_a)},
                    {"only_in_b", names(comparison.only_b)},
                    {"metadata", std::move(keys)}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string types(const Pair& pair) {
  return std::string_view(pair.a.type) == pair.b.type ? pair.a.type : fmt::format("{} | {}", pair.a.type, pair.b.type);
}

std::string shapes(const Pair& pair) {
  const auto text = [](const infer_tensor_info& t) { return fmt::format("[{}]", fmt::join(shape(t), ", ")); };
  return shape(pair.a) == shape(pair.b) ? text(pair.a) : text(pair.a) + " | " + text(pair.b);
}

/// A value of the metadata, as much of it as fits in a line.
std::string shortened(const std::string& value) {
  constexpr std::size_t kMost = 60;
  if (value.empty()) return "-";
  return printable(value.size() <= kMost ? value : value.substr(0, kMost) + "...");
}

std::string as_text(const Comparison& comparison) {
  std::string out = fmt::format("{:<32} {:<16} {:<20} {:>12} {:>12} {:>12}  {}\n", "tensor", "type", "shape", "relative rms",
                                "rms", "max", "at");
  for (const Pair& pair : comparison.pairs) {
    out += fmt::format("{:<32} {:<16} {:<20} ", printable(pair.a.name), types(pair), shapes(pair));
    if (!pair.distance) {
      out += fmt::format("not compared: {}\n", printable(pair.why));
      continue;
    }
    const Distance& d = *pair.distance;
    out += d.is_zero() ? fmt::format("{:>12}", "same")
                       : fmt::format("{:>12.6f} {:>12.6g} {:>12.6g}  [{}]", d.relative(), d.rms(), d.most,
                                     fmt::join(place(pair.a, d.most_at), ", "));
    if (d.n_not_finite > 0) out += fmt::format("; {} elements are not finite", d.n_not_finite);
    out += '\n';
  }
  for (const auto& tensor : comparison.only_a) out += fmt::format("{:<32} only in the first file\n", printable(tensor.name));
  for (const auto& tensor : comparison.only_b) out += fmt::format("{:<32} only in the second file\n", printable(tensor.name));
  out += fmt::format("{:<32} {:<16} {:<20} {:>12.6f} {:>12.6g} {:>12.6g}\n", "all matrices",
                     fmt::format("{} tensors", comparison.n_matrices), "", comparison.matrices.relative(),
                     comparison.matrices.rms(), comparison.matrices.most);
  if (comparison.metadata.empty()) return out + "\nthe metadata are the same\n";
  out += fmt::format("\nmetadata, {} keys differ\n", comparison.metadata.size());
  for (const auto& v : comparison.metadata) {
    out += fmt::format("  {:<44} {} | {}\n", printable(v.key), shortened(v.a), shortened(v.b));
  }
  return out;
}

int run(const Arguments& arguments) {
  const Interrupt interrupt;
  auto a = open_path(arguments.model, arguments.a, Weights::none, interrupt.cancel());
  if (!a) return fail(a.error()), kTrouble;
  auto b = open_path(arguments.model, arguments.b, Weights::none, interrupt.cancel());
  if (!b) return fail(b.error()), kTrouble;
  const auto comparison = Comparer(a->model, b->model, interrupt.cancel()).run();
  if (!comparison) return kTrouble;
  if (!write_all(stdout, arguments.json ? as_json(arguments, *comparison) : as_text(*comparison))) {
    return stdout_failed(), kTrouble;
  }
  return comparison->same() ? 0 : 1;
}

}  // namespace

Action setup_diff(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto& a = *arguments;
  app.footer(kFooter);
  app.add_option("a", a.a, "the first GGUF file: the one that is right")->type_name("A")->required();
  app.add_option("b", a.b, "the second")->type_name("B")->required();
  app.add_flag("--json", a.json, "one JSON object");
  return [arguments] { return run(*arguments); };
}

}  // namespace tool
