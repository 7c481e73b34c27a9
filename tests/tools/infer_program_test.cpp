// SPDX-License-Identifier: MIT
// The program `infer` as its users meet it. Needs INFER_PROGRAM (the program) and INFER_TEST_MODEL (the bundled model);
// INFER_SHARED, the directory that holds golden/, adds the exact texts of a second model.
#include <gtest/gtest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/tools/program.h"

namespace {

using infer::testing::environment;
using infer::testing::Outcome;
using infer::testing::read_bytes;
using infer::testing::run_infer;
using infer::testing::spawn_infer;
using infer::testing::TemporaryDirectory;
using infer::testing::wait_for;
using infer::testing::write_bytes;
using nlohmann::json;

std::vector<json> json_lines(const std::string& text) {
  std::vector<json> lines;
  std::size_t start = 0;
  for (std::size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1) {
    lines.push_back(json::parse(text.substr(start, end - start), nullptr, false));
  }
  return lines;
}

class InferProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    if (environment("INFER_PROGRAM").empty()) GTEST_SKIP() << "INFER_PROGRAM does not name the program";
    model_ = environment("INFER_TEST_MODEL");
    if (model_.empty()) GTEST_SKIP() << "INFER_TEST_MODEL does not name a model";
  }

  /// infer COMMAND -m MODEL ARGUMENTS...
  Outcome with_model(const std::string& command, std::vector<std::string> arguments,
                     std::string_view input = {}) const {
    arguments.insert(arguments.begin(), {command, "-m", model_});
    return run_infer(arguments, input);
  }

  /// Greedy text with a continuation of n tokens.
  Outcome greedy(const std::string& prompt, int n, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"--temp", "0", "-n", std::to_string(n), "-p", prompt});
    return with_model("run", more);
  }

  std::string model_;
};

// ---- Arguments

TEST_F(InferProgram, TellsItsVersion) {
  const auto r = run_infer({"--version"});
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(r.out.substr(0, 6), "infer ");
  EXPECT_EQ(r.err, "");
}

TEST_F(InferProgram, HelpNamesEveryCommand) {
  const auto r = run_infer({"--help"});
  EXPECT_EQ(r.status, 0);
  for (const char* command : {"run", "info", "tokenize", "detokenize", "logits", "bench", "quantize", "perplexity", "imatrix",
                              "diff"}) {
    EXPECT_NE(r.out.find(command), std::string::npos) << command;
    EXPECT_EQ(run_infer({command, "--help"}).status, 0) << command;
  }
}

TEST_F(InferProgram, WrongArgumentsGiveStatusTwoAndNothingOnStdout) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"walk"},
      {"run", "--no-such-option"},
      {"run", "--temp", "warm"},
      {"run", "--temp", "-1"},
      {"run", "-n", "-5"},
      {"run", "-p", "a", "-f", "b"},
      {"run", "--logprobs", "3"},
      {"logits", "--tokens", "1"},
      {"logits", "--out", "x"},
      {"logits", "--tokens", "1,x", "--out", "x"},
      {"bench", "-p", "-1"},
      {"detokenize", "one"},
  };
  for (const auto& arguments : wrong) {
    const auto r = run_infer(arguments);
    std::string line;
    for (const auto& word : arguments) line += " " + word;
    EXPECT_EQ(r.status, 2) << line << "\n" << r.err;
    EXPECT_EQ(r.out, "") << line;
    EXPECT_NE(r.err, "") << line;
  }
}

TEST_F(InferProgram, OptionsThatTheLibraryRefusesLateAreWrongArgumentsToo) {
  for (const char* command : {"perplexity", "imatrix"}) {
    EXPECT_EQ(with_model(command, {"-f", "/no/such/text", "--n-batch", "0"}).status, 2) << command;
  }
  EXPECT_EQ(with_model("bench", {"-t", "-1"}).status, 2);
  EXPECT_EQ(run_infer({"quantize", "/no/such/model", "out", "Q8_0", "-t", "-1"}).status, 2);
  const auto large = greedy("a", 1, {"--ctx", "18446744073709551615"});
  EXPECT_EQ(large.status, 2);
  EXPECT_NE(large.err.find("18446744073709551615"), std::string::npos) << large.err;
  EXPECT_EQ(greedy("a", 1, {"--kv", "f7"}).status, 2);
  EXPECT_EQ(greedy("a", 1, {"--samplers", "magic"}).status, 2);
}

TEST_F(InferProgram, RaisesTheBaseOfRopeOnDemandOnly) {
  const auto plain = greedy("The old prince", 8, {"--ctx", "2048"});
  EXPECT_EQ(greedy("The old prince", 8, {"--ctx", "2048", "--rope-ntk"}).status, 0);
  EXPECT_EQ(greedy("The old prince", 8, {"--ctx", "64", "--rope-ntk"}).out, plain.out);   // nothing is stretched
}

// ---- Files that are no models

TEST_F(InferProgram, MissingFileIsNamed) {
  const auto r = run_infer({"run", "-m", "/no/such/model.gguf", "-p", "a"});
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.out, "");
  EXPECT_EQ(r.err.substr(0, 7), "infer: ");
  EXPECT_NE(r.err.find("/no/such/model.gguf"), std::string::npos) << r.err;
}

TEST_F(InferProgram, DirectoryIsNoModel) {
  const auto r = run_infer({"run", "-m", "/", "-p", "a"});
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.err.find("directory"), std::string::npos) << r.err;
}

TEST_F(InferProgram, EmptyTruncatedAndForeignFilesAreRefusedByEveryCommand) {
  const TemporaryDirectory directory;
  const std::string whole = read_bytes(model_);
  ASSERT_GT(whole.size(), 4096U);
  write_bytes(directory.file("empty.gguf"), "");
  write_bytes(directory.file("short.gguf"), whole.substr(0, 3));
  write_bytes(directory.file("header.gguf"), whole.substr(0, 1000));
  write_bytes(directory.file("half.gguf"), whole.substr(0, whole.size() / 2));
  write_bytes(directory.file("almost.gguf"), whole.substr(0, whole.size() - 1));
  write_bytes(directory.file("picture.gguf"), std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) + std::string(200, 'x'));
  const std::vector<std::vector<std::string>> commands = {{"run", "-p", "a"},
                                                          {"logits", "--tokens", "1", "--out", directory.file("out")},
                                                          {"bench", "-p", "1", "-n", "1", "-r", "1"}};
  for (const char* name : {"empty.gguf", "short.gguf", "header.gguf", "half.gguf", "almost.gguf", "picture.gguf"}) {
    for (auto command : commands) {
      command.insert(command.end(), {"-m", directory.file(name)});
      const auto r = run_infer(command);
      EXPECT_EQ(r.status, 1) << command[0] << " " << name << "\n" << r.err;
      EXPECT_EQ(r.out, "") << command[0] << " " << name;
      EXPECT_EQ(r.err.substr(0, 7), "infer: ") << command[0] << " " << name;
    }
  }
  const auto picture = run_infer({"run", "-m", directory.file("picture.gguf"), "-p", "a"});
  EXPECT_NE(picture.err.find("PNG"), std::string::npos) << picture.err;
}

// ---- run

TEST_F(InferProgram, StdoutHoldsPromptContinuationAndOneNewline) {
  const auto r = greedy("Prince Andrew", 8);
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out.substr(0, 13), "Prince Andrew");
  EXPECT_GT(r.out.size(), 15U);
  EXPECT_EQ(r.out.back(), '\n');
  EXPECT_EQ(r.err, "");
}

TEST_F(InferProgram, WithoutEchoOnlyTheContinuationIsPrinted) {
  const auto whole = greedy("Prince Andrew", 8);
  const auto rest = greedy("Prince Andrew", 8, {"--no-echo"});
  EXPECT_EQ("Prince Andrew" + rest.out, whole.out);
}

TEST_F(InferProgram, GreedyTextIsTheSameEveryTime) {
  const auto first = greedy("The old count", 40);
  EXPECT_EQ(greedy("The old count", 40).out, first.out);
  EXPECT_EQ(greedy("The old count", 40, {"--batch", "1", "-t", "1"}).out, first.out);
}

TEST_F(InferProgram, SeedMakesADrawRepeatable) {
  const std::vector<std::string> arguments = {"-p",     "Natasha", "-n",     "30",
                                              "--temp", "1",       "--seed", "18446744073709551615"};
  const auto first = with_model("run", arguments);
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(with_model("run", arguments).out, first.out);
}

TEST_F(InferProgram, PromptComesFromStdinOrFileWithoutTheLastNewline) {
  const auto expected = greedy("Prince Andrew", 8);
  const TemporaryDirectory directory;
  write_bytes(directory.file("prompt"), "Prince Andrew\n");
  EXPECT_EQ(with_model("run", {"--temp", "0", "-n", "8"}, "Prince Andrew\n").out, expected.out);
  EXPECT_EQ(with_model("run", {"--temp", "0", "-n", "8", "-f", "-"}, "Prince Andrew").out, expected.out);
  EXPECT_EQ(with_model("run", {"--temp", "0", "-n", "8", "-f", directory.file("prompt")}).out, expected.out);
  const auto missing = with_model("run", {"-f", directory.file("missing")});
  EXPECT_EQ(missing.status, 1);
  EXPECT_NE(missing.err.find("missing: No such file"), std::string::npos) << missing.err;
}

TEST_F(InferProgram, PromptBytesThatAreNotUtf8ArePassedThrough) {
  const auto r = greedy("a\xff\xc3", 2);
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out.substr(0, 3), "a\xff\xc3");
}

TEST_F(InferProgram, StopStringEndsTheTextBeforeIt) {
  const std::string text = greedy("Prince Andrew", 24, {"--no-echo"}).out;
  ASSERT_GT(text.size(), 20U);
  const std::string stop = text.substr(8, 7);  // some tokens long
  const auto r = greedy("Prince Andrew", 24, {"--no-echo", "--stop", stop});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, text.substr(0, text.find(stop)) + "\n");
}

TEST_F(InferProgram, StopStringsTakeEscapesAndBrackets) {
  const auto r = greedy("Prince Andrew", 40, {"--json", "--stop", "[a,b]", "--stop", "\\x20"});
  EXPECT_EQ(r.status, 0) << r.err;
  const auto events = json_lines(r.out);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.back().value("finish_reason", ""), "stop");
  EXPECT_EQ(events.back().value("stop", ""), " ");
  EXPECT_EQ(greedy("a", 1, {"--stop", "\\q"}).status, 2);
}

TEST_F(InferProgram, PromptLongerThanTheContextSaysNeededAndAvailable) {
  std::string prompt;
  for (int i = 0; i < 100; ++i) prompt += " and then he said";
  const auto r = greedy(prompt, 4, {"--ctx", "64"});
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.out, "");
  EXPECT_NE(r.err.find("64"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("--ctx"), std::string::npos) << r.err;
}

TEST_F(InferProgram, JsonEventsTellTheSameText) {
  const std::string text = greedy("Prince Andrew", 12, {"--no-echo"}).out;
  const auto r = greedy("Prince Andrew", 12, {"--json", "--logprobs", "3"});
  EXPECT_EQ(r.status, 0) << r.err;
  std::string joined;
  int tokens = 0;
  const auto events = json_lines(r.out);
  for (const auto& event : events) {
    ASSERT_TRUE(event.is_object());
    joined += event.value("text", "");
    if (event["event"] != "token") continue;
    ++tokens;
    ASSERT_EQ(event["top"].size(), 3U);
    EXPECT_EQ(event["top"][0]["id"], event["id"]) << "greedy takes the best";
    EXPECT_LE(event["logprob"].get<double>(), 0.0);
  }
  EXPECT_EQ(tokens, 12);
  EXPECT_EQ(joined + "\n", text);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.front()["event"], "prompt");
  EXPECT_EQ(events.back()["finish_reason"], "length");
  EXPECT_EQ(events.back()["stats"]["generated_tokens"], 12);
  EXPECT_TRUE(events.back()["seed"].is_number_unsigned());
}

TEST_F(InferProgram, StatisticsGoToStderrOnRequest) {
  const auto r = greedy("Prince Andrew", 4, {"--stats"});
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(r.out, greedy("Prince Andrew", 4).out);
  for (const char* word : {"load", "first token", "prompt", "decode", "tokens/s", "memory", "seed"}) {
    EXPECT_NE(r.err.find(word), std::string::npos) << word;
  }
}

/// The status of a program that writes events, and gets a signal at the first token; what it wrote.
int status_after(int signal, const std::string& model, std::string& text) {
  int out[2];
  if (pipe2(out, O_CLOEXEC) != 0) return -1;
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  // More text than a pipe holds: the program is at work, or waits for us, when the signal comes.
  const pid_t pid = spawn_infer({"run", "-m", model, "-p", "a", "-n", "0", "--ctx", "4000", "--ignore-eog", "--json"},
                                null, out[1], null);
  close(out[1]);
  char buffer[4096];
  bool is_sent = false;
  for (ssize_t n; (n = read(out[0], buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
    if (is_sent || text.find("\"token\"") == std::string::npos) continue;
    kill(pid, signal);
    is_sent = true;
  }
  const int status = wait_for(pid);
  close(out[0]);
  close(null);
  return status;
}

TEST_F(InferProgram, InterruptEndsTheTextCleanly) {
  std::string text;
  EXPECT_EQ(status_after(SIGINT, model_, text), 0);
  const auto events = json_lines(text);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.back().value("finish_reason", ""), "cancelled");
}

TEST_F(InferProgram, ReaderThatGoesAwayEndsItQuietly) {
  int out[2];
  ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
  close(out[0]);
  const TemporaryDirectory directory;
  const std::string err = directory.file("err");
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int err_fd = open(err.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  const pid_t pid = spawn_infer({"run", "-m", model_, "-p", "a", "-n", "4"}, null, out[1], err_fd);
  close(out[1]);
  EXPECT_EQ(wait_for(pid), 1);
  close(null);
  close(err_fd);
  EXPECT_EQ(read_bytes(err), "");
}

TEST_F(InferProgram, ContinuesTheGoldenPromptsExactly) {
  const std::string shared = environment("INFER_SHARED");
  if (shared.empty()) GTEST_SKIP() << "INFER_SHARED does not name the directory of golden/";
  const std::string root = shared + "/golden/logits";
  const json golden = json::parse(read_bytes(root + "/golden/stories260K.json"), nullptr, false);
  ASSERT_TRUE(golden.is_object()) << root;
  ASSERT_FALSE(golden["cases"].empty());
  for (const auto& item : golden["cases"]) {
    const auto r = run_infer({"run", "-m", root + "/models/stories260K-f32.gguf", "--temp", "0", "-n", item["n"].dump(),
                              "-p", item["prompt"].get<std::string>()});
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out, item["text"].get<std::string>());
  }
}

TEST_F(InferProgram, ATextThatASignalCutsIsAFailure) {
  std::string text;
  EXPECT_EQ(status_after(SIGTERM, model_, text), 1);
  EXPECT_EQ(json_lines(text).back()["finish_reason"], "cancelled");
}

TEST_F(InferProgram, RequestsThatCannotBeReadAreAFailure) {
  const int folder = open("/", O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  EXPECT_EQ(wait_for(spawn_infer({"tokenize", "-m", model_, "--jsonl"}, folder, null, null)), 1);
  close(folder);
  close(null);
}

TEST_F(InferProgram, LosesItsMessagesButNotItsWorkWhereStderrIsFull) {
  const TemporaryDirectory directory;
  const std::string out = directory.file("out");
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (full < 0) GTEST_SKIP() << "no /dev/full";
  const auto status_of = [&](const std::vector<std::string>& arguments) {
    const int fd = open(out.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    const int status = wait_for(spawn_infer(arguments, null, fd, full));
    close(fd);
    return status;
  };
  EXPECT_EQ(status_of({"info", "-m", "/no/such/file"}), 1);
  EXPECT_EQ(status_of({"walk"}), 2);
  EXPECT_EQ(status_of({}), 2);
  EXPECT_EQ(status_of({"run", "-m", model_, "-p", "a", "-n", "2", "--stats"}), 0);
  EXPECT_NE(read_bytes(out), "");
  close(full);
  close(null);
}

TEST_F(InferProgram, EndsInAnOrderlyWayWhereAFileMayNotGrow) {
  const TemporaryDirectory directory;
  const std::string rows = directory.file("rows");
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const struct rlimit small{1000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);   // the program inherits it
  const auto r = with_model("logits", {"--tokens", "1,2,3", "--out", rows});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.err.find("too large"), std::string::npos) << r.err;
  const std::filesystem::directory_iterator left(std::filesystem::path(rows).parent_path());
  EXPECT_EQ(std::distance(begin(left), end(left)), 0);
}

TEST_F(InferProgram, NeverWritesOverWhatItReads) {
  const TemporaryDirectory directory;
  const std::string model = directory.file("model.gguf"), text = directory.file("text"), link = directory.file("link");
  write_bytes(model, read_bytes(model_));
  write_bytes(text, "The old prince smiled, and said nothing for a long time to anyone.");
  std::filesystem::create_symlink(model, link);
  const std::string before = read_bytes(model);
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"logits", "--tokens", "1,2", "--out", model},
           {"logits", "--tokens", "1,2", "--out", link},
           {"imatrix", "-f", text, "--ctx", "8", "-o", model},
           {"imatrix", "-f", text, "--ctx", "8", "-o", text},
           {"perplexity", "-f", text, "--ctx", "8", "--save-kl-base", model},
           {"bench", "-p", "1", "-n", "0", "-r", "1", "--no-probe", "--plot", model}}) {
    std::vector<std::string> words = arguments;
    words.insert(words.begin() + 1, {"-m", model});
    const auto r = run_infer(words);
    EXPECT_EQ(r.status, 1) << arguments[0];
    EXPECT_NE(r.err.find("both input and output"), std::string::npos) << arguments[0] << ": " << r.err;
    EXPECT_EQ(read_bytes(model), before) << arguments[0];
  }
}

// ---- info

TEST_F(InferProgram, InfoTellsWhatTheFileHolds) {
  const auto r = with_model("info", {"--json", "--tensors"});
  EXPECT_EQ(r.status, 0) << r.err;
  const json info = json::parse(r.out, nullptr, false);
  ASSERT_TRUE(info.is_object());
  EXPECT_EQ(info["architecture"], "llama");
  EXPECT_EQ(info["n_params"], 2623744);
  EXPECT_EQ(info["n_vocab"], 1024);
  EXPECT_EQ(info["problem"], nullptr);
  EXPECT_EQ(info["tensors"].size(), info["n_tensors"].get<std::size_t>());
  EXPECT_TRUE(info["types"].contains("Q8_0"));
  EXPECT_GE(info["memory"]["mapped"], info["tensor_bytes"]);
  // What a load takes: panels, but for the specification, which reads the file.
  const bool packs = json::parse(run_infer({"kernels", "--json"}).out, nullptr, false)["chosen"] != "scalar";
  EXPECT_EQ(info["memory"]["weights"] >= info["tensor_bytes"], packs) << info["memory"];
  const json read = json::parse(with_model("info", {"--json", "--no-mmap"}).out, nullptr, false);
  EXPECT_EQ(read["memory"]["mapped"], 0);
  EXPECT_GE(read["memory"]["weights"], info["tensor_bytes"]);
  EXPECT_GT(info["memory"]["kv"], 0);
}

TEST_F(InferProgram, InfoReadsAllWeightsOnRequest) {
  const auto r = with_model("info", {"--validate"});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out.find("cannot be run"), std::string::npos);

  const TemporaryDirectory directory;
  std::string bytes = read_bytes(model_);
  write_bytes(directory.file("nan.gguf"), bytes.replace(bytes.size() - 34, 2, "\x00\x7e", 2));   // of the last block of Q8_0, d
  const auto bad = run_infer({"info", "-m", directory.file("nan.gguf"), "--validate"});
  EXPECT_EQ(bad.status, 1);
  EXPECT_NE(bad.out.find("cannot be run"), std::string::npos) << bad.out;
}

TEST_F(InferProgram, InfoIsReadableToo) {
  const auto r = with_model("info", {"--tensors"});
  EXPECT_EQ(r.status, 0) << r.err;
  for (const char* word : {"llama", "token_embd.weight", "general.architecture", "Q8_0", "2.62 M"}) {
    EXPECT_NE(r.out.find(word), std::string::npos) << word;
  }
}

// ---- tokenize, detokenize

TEST_F(InferProgram, TokenizeAndDetokenizeRoundTrip) {
  const std::string text =
      "Prince Andrew, h\xc3\xa9las!\n\n  He\0said \xff"
      "so";
  const auto ids = with_model("tokenize", {}, text);
  EXPECT_EQ(ids.status, 0) << ids.err;
  const auto back = with_model("detokenize", {}, ids.out);
  EXPECT_EQ(back.status, 0) << back.err;
  EXPECT_EQ(back.out, text);
  const auto argument = with_model("tokenize", {"Prince Andrew"});
  EXPECT_EQ(argument.out, with_model("tokenize", {}, "Prince Andrew").out);
  EXPECT_EQ(json_lines(with_model("tokenize", {"--jsonl"},
                                  R"({"text":"Prince Andrew"})"
                                  "\n")
                           .out)
                .size(),
            1U);
}

TEST_F(InferProgram, PiecesAreOneALine) {
  const auto r = with_model("tokenize", {"--pieces", "--no-special", "Prince Andrew"});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("\n"), r.out.size() - 1) << r.out;
}

TEST_F(InferProgram, JsonTellsPiecesAndOffsets) {
  const std::string text = "Prince \xc3\xa9";
  const auto r = with_model("tokenize", {"--json", "--no-special"}, text);
  EXPECT_EQ(r.status, 0) << r.err;
  const auto answers = json_lines(r.out);
  ASSERT_EQ(answers.size(), 1U);
  const json& all = answers[0];
  ASSERT_EQ(all["ids"].size(), all["offsets"].size());
  ASSERT_EQ(all["ids"].size(), all["pieces"].size());
  std::size_t end = 0;
  for (const json& span : all["offsets"]) {
    EXPECT_EQ(span[0], end);
    end = span[1];
  }
  EXPECT_EQ(end, text.size());

  const std::string request = R"({"text":"Prince","offsets":true})" "\n"
                              R"({"text":"Prince","pieces":true})" "\n"
                              R"({"text":"Prince"})" "\n";
  const auto lines = json_lines(with_model("tokenize", {"--jsonl"}, request).out);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(lines[0].contains("offsets") && !lines[0].contains("pieces"));
  EXPECT_TRUE(lines[1].contains("pieces") && !lines[1].contains("offsets"));
  EXPECT_EQ(lines[2].size(), 1U);
  EXPECT_EQ(lines[2]["ids"], lines[0]["ids"]);
  EXPECT_EQ(with_model("tokenize", {"--json", "--pieces", "a"}).status, 2);
}

TEST_F(InferProgram, JsonlAnswersInOrderAndGoesOnAfterErrors) {
  const std::string requests =
      "{\"text\": \"Prince\"}\n"
      "this is no JSON\n"
      "{\"hex\": \"zz\"}\n"
      "[1]\n"
      "{\"text\": 5}\n"
      "{\"hex\": \"ff00\", \"add_special\": true, \"parse_special\": false}\n"
      "{\"text\": \"Prince\"}";
  const auto r = with_model("tokenize", {"--jsonl"}, requests);
  EXPECT_EQ(r.status, 0) << r.err;
  const auto answers = json_lines(r.out);
  ASSERT_EQ(answers.size(), 7U);
  for (const int i : {1, 2, 3, 4}) EXPECT_TRUE(answers[static_cast<std::size_t>(i)].contains("error")) << i;
  EXPECT_TRUE(answers[5].contains("ids"));
  EXPECT_EQ(answers[0], answers[6]);
  EXPECT_FALSE(answers[0]["ids"].empty());
}

TEST_F(InferProgram, JsonlRendersTemplatesWithoutAModel) {
  const auto r = run_infer({"template", "--jsonl"},
                             "{\"template\": \"{{ messages[0].content }}{{ tools | tojson }}\","
                             " \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}],"
                             " \"tools\": [1.0, 123456789012345678901234567890]}\n"
                             "{\"template\": \"a\\n{{ 1 + }}\", \"messages\": []}\n"
                             "{\"template\": \"{{ x | from_json }}\", \"check\": true}\n");
  EXPECT_EQ(r.status, 0) << r.err;
  const auto answers = json_lines(r.out);
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0]["text"], "hi[1.0, 123456789012345678901234567890]");
  EXPECT_TRUE(answers[1].contains("error"));
  EXPECT_EQ(answers[1]["line"], 2);
  EXPECT_EQ(answers[1]["column"], 8);
  EXPECT_EQ(answers[2]["unsupported"].size(), 1U);
}

TEST_F(InferProgram, JsonlDetokenizesWholeStreamedAndPieceByPiece) {
  const auto tokens = json_lines(with_model("tokenize", {"--jsonl"}, "{\"hex\": \"48c3a9f09f9880\"}\n").out);
  ASSERT_EQ(tokens.size(), 1U);
  ASSERT_TRUE(tokens[0].contains("ids"));
  json whole = {{"ids", tokens[0]["ids"]}}, stream = {{"ids", tokens[0]["ids"]}, {"stream", true}};
  json piece = {{"ids", {tokens[0]["ids"].back()}}, {"piece", true}};
  const std::string wrong = R"({"ids":[99999999]})"
                            "\n"
                            R"({"ids":[1.5]})"
                            "\n"
                            R"({"ids":[-4294967295]})"
                            "\n{}\n";
  const auto r =
      with_model("detokenize", {"--jsonl"}, whole.dump() + "\n" + stream.dump() + "\n" + piece.dump() + "\n" + wrong);
  EXPECT_EQ(r.status, 0) << r.err;
  const auto answers = json_lines(r.out);
  ASSERT_EQ(answers.size(), 7U);
  EXPECT_EQ(answers[0].value("hex", ""), "48c3a9f09f9880");
  std::string text;
  for (const auto& delta : answers[1]["deltas"]) text += delta.get<std::string>();
  EXPECT_EQ(text.substr(text.find('H')), "H\xc3\xa9\xf0\x9f\x98\x80");
  EXPECT_EQ(answers[1].value("flush", "?"), "");
  EXPECT_EQ(answers[2].value("hex", ""), "80");
  for (const std::size_t i : {3U, 4U, 5U, 6U}) EXPECT_TRUE(answers[i].contains("error")) << i;
}

// ---- logits

TEST_F(InferProgram, LogitsAreOneRowAPosition) {
  const TemporaryDirectory directory;
  const std::string all = directory.file("all"), last = directory.file("last"), file = directory.file("file");
  write_bytes(directory.file("ids"), "3, 5\n7 11\t13,");
  EXPECT_EQ(with_model("logits", {"--tokens", "3,5,7,11,13", "--out", all}).status, 0);
  EXPECT_EQ(with_model("logits", {"--tokens-file", directory.file("ids"), "--out", file, "--batch", "2"}).status, 0);
  EXPECT_EQ(with_model("logits", {"--tokens", "3,5,7,11,13", "--out", last, "--last"}).status, 0);
  const std::string rows = read_bytes(all);
  ASSERT_EQ(rows.size(), 5U * 1024U * 4U);
  EXPECT_EQ(read_bytes(file), rows) << "in batches of two";
  EXPECT_EQ(read_bytes(last), rows.substr(4U * 1024U * 4U));
}

TEST_F(InferProgram, LogitsLeaveNoFileBehindWhenTheyFail) {
  const TemporaryDirectory directory;
  const std::string out = directory.file("out");
  EXPECT_EQ(with_model("logits", {"--tokens", "1,999999", "--out", out}).status, 1);
  EXPECT_FALSE(std::filesystem::exists(out));
  const auto full =
      with_model("logits", {"--tokens", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "--ctx", "16", "--out", out});
  EXPECT_EQ(full.status, 1);
  EXPECT_NE(full.err.find("--ctx"), std::string::npos) << full.err;
  EXPECT_FALSE(std::filesystem::exists(out));
  write_bytes(out, "of before");
  EXPECT_EQ(with_model("logits", {"--tokens", "1,999999", "--out", out}).status, 1);
  EXPECT_EQ(read_bytes(out), "of before");
}

TEST_F(InferProgram, LogitsGoWhereStdoutLeads) {
  const auto plain = with_model("logits", {"--tokens", "1,2", "--out", "-"});
  const auto device = with_model("logits", {"--tokens", "1,2", "--out", "/dev/stdout"});
  EXPECT_EQ(device.status, 0) << device.err;
  EXPECT_EQ(device.out, plain.out);
  EXPECT_EQ(plain.out.size(), 2U * 1024U * 4U);
}

// ---- kernels

TEST_F(InferProgram, KernelsAreShown) {
  const auto r = run_infer({"kernels", "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  const json facts = json::parse(r.out, nullptr, false);
  ASSERT_TRUE(facts.is_object());
  EXPECT_EQ(facts["tables"].back()["name"], "scalar");
  bool chosen_runs = false;
  for (const json& t : facts["tables"]) chosen_runs = chosen_runs || (t["name"] == facts["chosen"] && t["runs_here"] == true);
  EXPECT_TRUE(chosen_runs);
  for (const json& k : facts["kernels"]) EXPECT_EQ(k["tables"].back(), "scalar") << k["op"];
  EXPECT_NE(run_infer({"kernels"}).out.find("matmul"), std::string::npos);

  const char* const before = std::getenv("INFER_FORCE_ISA");
  const std::string kept = before == nullptr ? "" : before;
  setenv("INFER_FORCE_ISA", "avx9", 1);
  const auto unknown = run_infer({"kernels"});
  kept.empty() ? unsetenv("INFER_FORCE_ISA") : setenv("INFER_FORCE_ISA", kept.c_str(), 1);
  EXPECT_EQ(unknown.status, 1);
  EXPECT_NE(unknown.err.find("INFER_FORCE_ISA: unknown kernel table 'avx9'; known: "), std::string::npos) << unknown.err;
}

}  // namespace
