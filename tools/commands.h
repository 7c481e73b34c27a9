// SPDX-License-Identifier: MIT
// The subcommands of `infer`. Each setup function tells the command line parser what its command takes and returns what
// to do once the arguments are known. main.cpp has the table.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace tool {

/// Does the work of a command; gives the exit status.
using Action = std::function<int()>;

Action setup_run(CLI::App& app);
Action setup_chat(CLI::App& app);
Action setup_info(CLI::App& app);
Action setup_tokenize(CLI::App& app);
Action setup_detokenize(CLI::App& app);
Action setup_template(CLI::App& app);
Action setup_logits(CLI::App& app);
Action setup_bench(CLI::App& app);
Action setup_perplexity(CLI::App& app);
Action setup_diff(CLI::App& app);
Action setup_imatrix(CLI::App& app);
Action setup_kernels(CLI::App& app);
Action setup_quantize(CLI::App& app);

}  // namespace tool
