// SPDX-License-Identifier: MIT
// `infer`, the program that comes with libinfer: a table of subcommands, one file each. It uses libinfer.h through
// libinfer.hpp and nothing else of the library: the living example of the C ABI. Exit status: 0, 1 for a failure,
// 2 for wrong arguments. Tested by tests/tools/infer_program_test.cpp.
#include <signal.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "tools/commands.h"
#include "tools/common.h"

namespace {

struct Command {
  const char* name;
  const char* summary;
  tool::Action (*setup)(CLI::App&);
};

constexpr Command kCommands[] = {
    {"run", "continue a text", tool::setup_run},
    {"chat", "talk with a model", tool::setup_chat},
    {"info", "tell what a model file holds", tool::setup_info},
    {"tokenize", "text to token ids", tool::setup_tokenize},
    {"detokenize", "token ids to text", tool::setup_detokenize},
    {"template", "conversations to text, by chat templates", tool::setup_template},
    {"logits", "write the logits of a token sequence", tool::setup_logits},
    {"bench", "measure the speed of prompt and decode", tool::setup_bench},
    {"perplexity", "measure how well a text is foretold, and against another model", tool::setup_perplexity},
    {"imatrix", "measure which columns of the weights matter, for quantising", tool::setup_imatrix},
    {"diff", "compare two model files tensor by tensor", tool::setup_diff},
    {"quantize", "make a model file of fewer bits", tool::setup_quantize},
    {"kernels", "show what computes what on this machine", tool::setup_kernels},
};

std::string version() {
  const auto abi = infer_abi_version();
  return fmt::format("infer {}, ABI {}.{}\n{}\n", infer_version_string(), abi >> 16, abi & 0xFFFF, infer_build_info());
}

int print(const std::string& text) { return tool::write_all(stdout, text) ? tool::kSuccess : tool::stdout_failed(); }

int run(int argc, char** argv) {
  CLI::App app("infer: text from language models in GGUF files, on the CPU.", "infer");
  app.footer(
      "infer COMMAND --help tells what a command takes. Exit status: 0, 1 for a failure, 2 for wrong arguments.");
  bool wants_version = false;
  app.add_flag("--version", wants_version, "print the version and exit");
  tool::Action chosen;
  for (const auto& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    sub->callback([&chosen, action = command.setup(*sub)] { chosen = action; });
  }

  const std::string_view first = argc > 1 ? argv[1] : "";
  const bool is_command =
      std::any_of(std::begin(kCommands), std::end(kCommands), [&](auto& c) { return first == c.name; });
  if (!first.empty() && first.front() != '-' && !is_command) {
    tool::fail(fmt::format("unknown command '{}'", first));
    return tool::tell("\n" + app.help()), tool::kUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return print(app.help());
  } catch (const CLI::ParseError& error) {
    const auto subcommands = app.get_subcommands();
    const std::string name = subcommands.empty() ? "" : " " + subcommands.back()->get_name();
    const auto unknown = app.remaining(true);
    tool::fail(unknown.empty() ? error.what() : fmt::format("unknown argument '{}'", unknown.front()),
               fmt::format("infer{} --help tells what there is", name));
    return tool::kUsage;
  }
  if (wants_version) return print(version());
  if (chosen) return chosen();
  return tool::tell(app.help()), tool::kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away and a file that grows too large show as failed writes, and end the program in an orderly way.
  static_cast<void>(signal(SIGPIPE, SIG_IGN));
  static_cast<void>(signal(SIGXFSZ, SIG_IGN));
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    return tool::fail("out of memory");
  } catch (const std::exception& error) {
    return tool::fail(error.what());
  }
}
