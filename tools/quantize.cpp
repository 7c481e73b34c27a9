// SPDX-License-Identifier: MIT
// infer quantize: a model file to another one of fewer bits, or the plan of that. Tested by
// tests/tools/quantize_test.cpp.
#include <cstdint>
#include <memory>
#include <string>

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

struct Arguments {
  std::string in, out, type;
  OptionSet options{INFER_OPTIONS_QUANT};
  bool dry_run = false;
  bool json = false;
};

/// Errors of what was asked for, not of files.
bool is_usage(const libinfer::Error& error) {
  const std::string subject = error.subject();
  return error.code() == INFER_E_ARGUMENT || error.code() == INFER_E_RANGE ||
         (error.code() == INFER_E_QUANT_TYPE && (subject == "type" || subject == "tensor_type" ||
                                                 subject == "output_type" || subject == "token_embedding_type"));
}

int report(const libinfer::Error& error) { return is_usage(error) ? usage(error.message()) : fail(error); }

std::string totals(const Json& plan) {
  const auto from = plan["bytes_from"].get<std::uint64_t>(), to = plan["bytes_to"].get<std::uint64_t>();
  std::uint64_t file = 0;
  for (const auto& bytes : plan["file_bytes"]) file += bytes.get<std::uint64_t>();
  const std::size_t n_files = plan["file_bytes"].size();
  return fmt::format("{}: {} to {} of weights, {:.2f} bits each; {} {} of {} bytes", plan["type"].get<std::string>(),
                     bytes_text(from), bytes_text(to), plan["bits_per_weight"].get<double>(), n_files,
                     n_files == 1 ? "file" : "files", file);
}

std::string table(const Json& plan) {
  std::string out;
  for (const auto& t : plan["tensors"]) {
    const auto from = t["from"].get<std::string>(), to = t["to"].get<std::string>();
    out += fmt::format("{:<32} {:<20} {:<8} {:<8} {:>14}{}\n", printable(t["name"].get<std::string>()),
                       t["shape"].dump(), from, from == to ? "as it is" : to, t["bytes_to"].get<std::uint64_t>(),
                       t["importance"].get<bool>() ? "  with importance" : "");
  }
  for (const auto& warning : plan["warnings"]) out += fmt::format("note: {}\n", printable(warning.get<std::string>()));
  return out + totals(plan) + "\n";
}

int run(const Arguments& arguments) {
  auto options = arguments.options.build();
  if (!options) return report(options.error());
  if (auto set = options->set("type", arguments.type); !set) return report(set.error());
  auto source = libinfer::Source::path(arguments.in);
  if (!source) return report(source.error());
  const Interrupt interrupt;
  libinfer::Load how;
  how.options = &*options;
  how.cancel = interrupt.cancel();

  const double start = now();
  const auto text = libinfer::quantize_plan(*source, how);
  if (!text) return report(text.error());
  const Json plan = Json::parse(*text);
  if (arguments.dry_run) {
    return write_all(stdout, arguments.json ? plan.dump(2) + "\n" : table(plan)) ? kSuccess : stdout_failed();
  }
  for (const auto& warning : plan["warnings"]) tell(fmt::format("note: {}\n", printable(warning.get<std::string>())));
  {
    ProgressBar bar("quantising");
    how.progress = [&bar](std::uint64_t done, std::uint64_t total) {
      if (bar.is_due()) bar.update(done, total, fmt::format("{} of {}", bytes_text(done), bytes_text(total)));
      return true;
    };
    const auto made = libinfer::quantize(*source, arguments.out, how);
    if (!made) return report(made.error());
  }
  const std::string line = fmt::format("{}, {:.1f} s\n", totals(plan), now() - start);
  return write_all(stdout, line) ? kSuccess : stdout_failed();
}

}  // namespace

Action setup_quantize(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  Arguments& a = *arguments;
  app.footer(
      "TYPE: F32 F16 BF16; Q8_0 Q6_K; Q5_K_M Q5_K_S Q5_1 Q5_0; Q4_K_M Q4_K_S Q4_1 Q4_0 IQ4_NL IQ4_XS MXFP4; Q3_K_L Q3_K_M Q3_K_S "
      "IQ3_M IQ3_S IQ3_XS IQ3_XXS; Q2_K Q2_K_S; TQ2_0 TQ1_0; and, with --imatrix only (infer imatrix makes one), IQ2_M IQ2_S "
      "IQ2_XS IQ2_XXS IQ1_M IQ1_S. "
      "An older OUT is replaced when the new one is complete. OUT may be left out with --dry-run: infer quantize "
      "--dry-run IN TYPE. "
      "--tensor-type 'blk.*.ffn_down.weight=Q6_K' may be given several times; the first that matches a name holds.");
  app.add_option("in", a.in, "GGUF file; of a sharded model the first part")->required()->type_name("IN");
  app.add_option("out", a.out, "the file to make")->required()->type_name("OUT");
  app.add_option("type", a.type, "such as Q4_K_M; upper or lower case, an unknown one lists all")->type_name("TYPE");
  a.options.add(app, "--imatrix", "imatrix");
  a.options.add(app, "--tensor-type", "tensor_type");
  a.options.add(app, "--output-type", "output_type");
  a.options.add(app, "--token-embedding-type", "token_embedding_type");
  a.options.add_flag(app, "--pure", "pure", true);
  a.options.add_flag(app, "--keep-split", "keep_split", true);
  a.options.add_flag(app, "--allow-requantize", "allow_requantize", true);
  a.options.add(app, "-t,--threads", "n_threads");
  app.add_flag("--dry-run", a.dry_run, "print what each tensor becomes, and the size; write nothing");
  app.add_flag("--json", a.json, "with --dry-run: the plan as JSON");
  return [arguments] {
    Arguments& given = *arguments;
    if (given.json && !given.dry_run) return usage("--json goes with --dry-run");
    if (given.type.empty()) {
      if (!given.dry_run) return usage("TYPE is missing: infer quantize IN OUT TYPE");
      given.type = given.out;
    }
    return run(given);
  };
}

}  // namespace tool
