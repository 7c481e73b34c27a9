// SPDX-License-Identifier: MIT
// infer kernels: the matrix of computations and instruction sets: what is built in, what this machine runs, what is
// chosen. Tested by tests/tools/infer_program_test.cpp.
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tools/commands.h"
#include "tools/common.h"

namespace tool {
namespace {

using Json = nlohmann::ordered_json;

std::string table(const Json& facts) {
  std::string out = fmt::format("{:<10} {:<12}", "op", "type");
  for (const Json& t : facts["tables"]) out += fmt::format(" {:>12}", t["name"].get<std::string>());
  out += '\n';
  for (const Json& k : facts["kernels"]) {
    out += fmt::format("{:<10} {:<12}", k["op"].get<std::string>(), k["type"].get<std::string>());
    for (const Json& t : facts["tables"]) {
      bool own = false;
      for (const Json& name : k["tables"]) own = own || name == t["name"];
      out += fmt::format(" {:>12}", own ? "yes" : "-");
    }
    out += '\n';
  }
  out += fmt::format("{:<23}", "runs here");
  for (const Json& t : facts["tables"]) out += fmt::format(" {:>12}", t["runs_here"].get<bool>() ? "yes" : "no");
  out += fmt::format("\n{:<23}", "chosen");
  for (const Json& t : facts["tables"]) out += fmt::format(" {:>12}", t["name"] == facts["chosen"] ? "yes" : "");
  return out + "\n\n-: computed by the rightmost table, the specification. INFER_FORCE_ISA names another table; results are the same.\n";
}

int run(bool json) {
  const auto text = libinfer::kernels_json();
  if (!text) return fail(text.error());
  const Json facts = Json::parse(*text);
  return write_all(stdout, json ? facts.dump(2) + "\n" : table(facts)) ? kSuccess : stdout_failed();
}

}  // namespace

Action setup_kernels(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "as JSON");
  return [json] { return run(*json); };
}

}  // namespace tool
