// SPDX-License-Identifier: MIT
// infer info: what a model file holds: facts, tensors, metadata, warnings, memory. Works on files that cannot be run,
// too: then it says why. Tested by tests/tools/infer_program_test.cpp.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tools/arguments.h"
#include "tools/commands.h"
#include "tools/common.h"

namespace tool {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kLongArray = 16;  // elements; longer ones are shown by their size
constexpr std::size_t kLongString = 100;  // bytes, in the readable form

constexpr const char* kTextFacts[] = {"name", "format", "architecture", "tokenizer", "kernels"};
constexpr const char* kIntegerFacts[] = {"n_params",   "tensor_bytes", "n_tensors",   "n_vocab",
                                         "n_layers",   "n_embd",     "n_ff",        "n_heads",
                                         "n_kv_heads", "head_dim",   "n_ctx_train", "sliding_window",
                                         "n_experts",  "n_experts_used", "n_ff_expert", "n_ff_shared"};
constexpr const char* kNumberFacts[] = {"rope_base", "norm_epsilon"};
constexpr const char* kRoles[] = {"bos", "eos", "unk", "sep", "pad", "eot", "eom"};

struct Arguments {
  ModelArguments model;
  bool tensors = false;
  bool json = false;
  bool all = false;
  bool validate = false;
};

/// The model, what a load and a session with defaults would take and, where its weights cannot be used, why.
struct Subject {
  OpenedModel opened;
  Json memory;
  std::string problem;
};

struct TypeSum {
  std::uint64_t tensors = 0, elements = 0, bytes = 0;

  double bits_per_weight() const {
    return elements == 0 ? 0 : 8 * static_cast<double>(bytes) / static_cast<double>(elements);
  }
  double percent_of(const TypeSum& all) const {
    return all.bytes == 0 ? 0 : 100 * static_cast<double>(bytes) / static_cast<double>(all.bytes);
  }
};

std::uint64_t elements(const infer_tensor_info& tensor) {
  std::uint64_t n = 1;
  for (std::int32_t i = 0; i < tensor.n_dims; ++i) n *= static_cast<std::uint64_t>(tensor.dims[i]);
  return n;
}

std::map<std::string, TypeSum> by_type(const libinfer::Model& model) {
  std::map<std::string, TypeSum> sums;
  for (std::size_t i = 0; i < model.tensor_count(); ++i) {
    const auto tensor = model.tensor(i);
    if (!tensor) continue;
    auto& sum = sums[tensor->type];
    ++sum.tensors;
    sum.elements += elements(*tensor);
    sum.bytes += tensor->bytes;
  }
  return sums;
}

TypeSum sum_of(const std::map<std::string, TypeSum>& types) {
  TypeSum all;
  for (const auto& [type, sum] : types) {
    all.tensors += sum.tensors;
    all.elements += sum.elements;
    all.bytes += sum.bytes;
  }
  return all;
}

Json facts(const libinfer::Model& model) {
  Json out = Json::object();
  for (const char* key : kTextFacts) {
    if (auto value = model.get_str(key); value && !value->empty()) out[key] = *value;
  }
  for (const char* key : kIntegerFacts) {
    if (auto value = model.get_i64(key)) out[key] = *value;
  }
  for (const char* key : kNumberFacts) {
    if (auto value = model.get_f64(key)) out[key] = *value;
  }
  return out;
}

Json special_tokens(const libinfer::Model& model) {
  Json out = Json::object();
  for (const char* role : kRoles) {
    const auto token = model.special(role);
    if (!token) continue;
    const auto bytes = model.token_bytes(*token, INFER_DETOKENIZE_RENDER_SPECIAL);
    out[role] = {{"id", *token}, {"text", bytes ? Json(std::string(*bytes)) : Json(nullptr)}};
  }
  return out;
}

/// One entry; null in place of an array that is too long to show.
Json metadata_entry(const libinfer::Model& model, const infer_meta_info& info, bool all) {
  Json entry = {{"key", info.key}, {"type", info.type}};
  if (std::string_view(info.type).substr(0, 5) == "array") entry["count"] = info.count;
  entry["value"] = nullptr;
  if (info.count > kLongArray && !all) return entry;
  if (auto text = model.meta_json(info.key)) {
    entry["value"] = Json::parse(*text, nullptr, false);
    if (entry["value"].is_discarded()) entry["value"] = *text;  // a number such as NaN, which JSON does not have
  }
  return entry;
}

Json metadata(const libinfer::Model& model, bool all) {
  Json out = Json::array();
  for (std::size_t i = 0; i < model.meta_count(); ++i) {
    if (const auto info = model.meta(i)) out.push_back(metadata_entry(model, *info, all));
  }
  return out;
}

Json tensors(const libinfer::Model& model) {
  Json out = Json::array();
  for (std::size_t i = 0; i < model.tensor_count(); ++i) {
    const auto tensor = model.tensor(i);
    if (!tensor) continue;
    Json dims = Json::array();
    for (std::int32_t d = 0; d < tensor->n_dims; ++d) dims.push_back(tensor->dims[d]);
    out.push_back({{"name", tensor->name},
                   {"type", tensor->type},
                   {"dims", std::move(dims)},
                   {"file", tensor->file},
                   {"offset", tensor->offset},
                   {"bytes", tensor->bytes}});
  }
  return out;
}

libinfer::Expected<Json> planned_memory(const Arguments& arguments, const std::string& path) {
  auto source = libinfer::Source::path(path);
  if (!source) return source.error();
  auto options = arguments.model.options.build();
  if (!options) return options.error();
  libinfer::Load how;
  how.options = &*options;
  auto plan = libinfer::Model::plan(*source, how);
  if (!plan) return plan.error();
  Json out = Json::object();
  for (const MemoryClass& c : kMemoryClasses) out[c.name] = (*plan).*c.planned;
  return out;
}

std::string as_json(const Arguments& arguments, const Subject& subject) {
  const auto& model = subject.opened.model;
  Json out = {{"path", subject.opened.path}};
  out.update(facts(model));
  out["special_tokens"] = special_tokens(model);
  const auto types = by_type(model);
  const TypeSum all = sum_of(types);
  out["bits_per_weight"] = all.bits_per_weight();
  out["types"] = Json::object();
  for (const auto& [type, sum] : types) {
    out["types"][type] = {{"tensors", sum.tensors},
                          {"elements", sum.elements},
                          {"bytes", sum.bytes},
                          {"percent", sum.percent_of(all)},
                          {"bits_per_weight", sum.bits_per_weight()}};
  }
  out["memory"] = subject.memory;
  out["warnings"] = model.warnings();
  out["problem"] = subject.problem.empty() ? Json(nullptr) : Json(subject.problem);
  out["metadata"] = metadata(model, arguments.all);
  if (arguments.tensors) out["tensors"] = tensors(model);
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string line(std::string_view label, std::string_view text) {
  return fmt::format("{:<16}{}\n", label, printable(text));
}

/// A value of the metadata for a reader; JSON text has no control characters.
std::string shown(const Json& entry, bool all) {
  const Json& value = entry["value"];
  if (value.is_null()) return fmt::format("{} elements", entry.value("count", std::uint64_t{0}));
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() <= kLongString || all) return printable(text);
  std::size_t end = kLongString;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return fmt::format("{}... ({} bytes)", printable(text.substr(0, end)), text.size());
}

std::string as_text(const Arguments& arguments, const Subject& subject) {
  const auto& model = subject.opened.model;
  std::string out = line("file", subject.opened.path);
  const Json known = facts(model);
  const Json roles = special_tokens(model);
  for (const auto& [key, value] : known.items()) {
    if (value == 0) continue;  // no window, no tensors
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (value.is_number_float()) text = fmt::format("{}", value.get<float>());  // as short as the file's precision
    if (key == "n_params") text += fmt::format(" ({})", count_text(value.get<double>()));
    if (key == "tensor_bytes") text += fmt::format(" ({})", bytes_text(value.get<std::uint64_t>()));
    out += line(key, text);
  }
  for (const auto& [role, token] : roles.items()) {
    out += line(role, fmt::format("{} {}", token["id"].dump(),
                                  token["text"].dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
  const auto types = by_type(model);
  const TypeSum all = sum_of(types);
  if (all.elements > 0) out += line("bits per weight", fmt::format("{:.3f}", all.bits_per_weight()));
  for (const auto& [type, sum] : types) {
    out += line("type " + type, fmt::format("{} tensors, {} weights, {}, {:.1f} %, {:.3f} bits per weight", sum.tensors,
                                            count_text(static_cast<double>(sum.elements)), bytes_text(sum.bytes),
                                            sum.percent_of(all), sum.bits_per_weight()));
  }
  for (const auto& [name, bytes] : subject.memory.items()) {
    if (bytes == 0) continue;
    out += line("memory " + name, bytes_text(bytes.get<std::uint64_t>()));
  }
  for (const auto& warning : model.warnings()) out += line("warning", warning);
  if (!subject.problem.empty()) out += line("cannot be run", subject.problem);

  out += fmt::format("\nmetadata, {} keys\n", model.meta_count());
  for (const auto& entry : metadata(model, arguments.all)) {
    out += fmt::format("  {:<44} {:<16} {}\n", printable(entry["key"].get<std::string>()),
                       entry["type"].get<std::string>(), shown(entry, arguments.all));
  }
  if (!arguments.tensors) return out;
  out += fmt::format("\ntensors, {}\n", model.tensor_count());
  for (const auto& tensor : tensors(model)) {
    out += fmt::format("  {:<32} {:<8} {:<20} {:>12} bytes at {}\n", printable(tensor["name"].get<std::string>()),
                       tensor["type"].get<std::string>(), tensor["dims"].dump(), tensor["bytes"].dump(),
                       tensor["offset"].dump());
  }
  return out;
}

int run(const Arguments& arguments) {
  auto facts_only = open_vocabulary(arguments.model);
  if (!facts_only) return kFailure;
  Subject subject{*std::move(facts_only), Json::object(), {}};
  if (subject.opened.model.tensor_count() > 0) {
    auto whole = open_path(arguments.model, subject.opened.path, Weights::in_file);
    auto memory = planned_memory(arguments, subject.opened.path);
    if (whole) subject.opened = *std::move(whole);
    if (memory) subject.memory = *std::move(memory);
    if (!whole || !memory) subject.problem = (whole ? memory.error() : whole.error()).message();
    if (whole && arguments.validate) {
      if (const auto valid = subject.opened.model.validate(); !valid) subject.problem = valid.error().message();
    }
  }
  if (!write_all(stdout, arguments.json ? as_json(arguments, subject) : as_text(arguments, subject))) {
    return stdout_failed();
  }
  return subject.problem.empty() ? kSuccess : fail(subject.problem);
}

}  // namespace

Action setup_info(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.footer("A file whose weights cannot be used is told about all the same; then the status is 1.");
  arguments->model.add_to(app);
  app.add_flag("--tensors", arguments->tensors, "list the tensors, too");
  app.add_flag("--json", arguments->json, "one JSON object");
  app.add_flag("--validate", arguments->validate, "read all weights, too, and look for NaN and infinity");
  app.add_flag("--all", arguments->all, "long arrays and strings of the metadata as a whole");
  return [arguments] { return run(*arguments); };
}

}  // namespace tool
