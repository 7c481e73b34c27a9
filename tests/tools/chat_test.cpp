// SPDX-License-Identifier: MIT
// infer chat and infer template -m as their users meet them. Needs INFER_PROGRAM and INFER_TEST_MODEL.
#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <vector>

#include "tests/tools/program.h"

namespace {

using infer::testing::environment;
using infer::testing::Outcome;
using infer::testing::run_infer;
using infer::testing::spawn_infer;
using infer::testing::TemporaryDirectory;
using infer::testing::wait_for;
using infer::testing::write_bytes;

class ChatProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    if (environment("INFER_PROGRAM").empty()) GTEST_SKIP() << "INFER_PROGRAM does not name the program";
    model_ = environment("INFER_TEST_MODEL");
    if (model_.empty()) GTEST_SKIP() << "INFER_TEST_MODEL does not name a model";
  }

  Outcome chat(std::vector<std::string> arguments, std::string_view input) const {
    arguments.insert(arguments.begin(), {"chat", "-m", model_, "--template", "vicuna", "--temp", "0", "-n", "6"});
    return run_infer(arguments, input);
  }

  std::string model_;
};

std::size_t lines_of(const std::string& text) {
  std::size_t n = 0;
  for (const char c : text) n += c == '\n';
  return n;
}

TEST_F(ChatProgram, PrintsNothingButAnswersWhenPiped) {
  const Outcome one = chat({}, "Who is Pierre?\n");
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(one.err, "");
  EXPECT_EQ(one.out.back(), '\n');
  EXPECT_GT(one.out.size(), 2U);
  const Outcome two = chat({}, "Who is Pierre?\nAnd then?");
  EXPECT_EQ(two.status, 0) << two.err;
  EXPECT_EQ(two.out.substr(0, one.out.size()), one.out);
  EXPECT_GT(two.out.size(), one.out.size());
  EXPECT_EQ(chat({}, "").out, "");
}

TEST_F(ChatProgram, KnowsItsCommands) {
  const Outcome run = chat({"--system", "Be brief."},
                           "/system\nHello\n/stats\n/clear\n/system Be long.\n/system\n/nothing\n/help\nHello\n/stats\n/quit\n"
                           "never read\n");
  EXPECT_EQ(run.status, 0);
  for (const char* said : {"Be brief.", "Be long.", "unknown command '/nothing'", "/clear", "answers  1", "answers  2"}) {
    EXPECT_NE(run.err.find(said), std::string::npos) << said << " in\n" << run.err;
  }
  const Outcome fresh = chat({"--system", "Be long."}, "Hello\n");
  EXPECT_EQ(run.out.substr(run.out.size() - fresh.out.size()), fresh.out) << "the conversation begins anew";
}

TEST_F(ChatProgram, FeedsEachTurnOnce) {
  const Outcome run = chat({}, "Hello\nHello\nHello\n/stats\n");
  EXPECT_NE(run.err.find("answers  3"), std::string::npos) << run.err;
  // "USER: Hello\nASSISTANT:" is 21 tokens or so, an answer 6; were all fed again it would be 21 + 48 + 75.
  const std::size_t fed_at = run.err.find("prompts  ") + 9;
  EXPECT_LT(std::stoi(run.err.substr(fed_at)), 80) << run.err;
}

TEST_F(ChatProgram, AMessageMayHaveSeveralLinesAndASlash) {
  const Outcome run = chat({}, "one\\\ntwo\n//help\n");
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(run.err, "");
  EXPECT_GE(lines_of(run.out), 2U);
}

TEST_F(ChatProgram, GoesOnAfterAMessageThatFails) {
  const Outcome run = chat({"--ctx", "64"}, std::string(400, 'x') + "\n\xff\xfe\nHello\n");
  EXPECT_EQ(run.status, 1) << "a script sees that not all was answered";
  EXPECT_NE(run.err.find("/clear forgets the conversation"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("not valid UTF-8"), std::string::npos) << run.err;
  EXPECT_EQ(run.out, chat({"--ctx", "64"}, "Hello\n").out);
}

TEST_F(ChatProgram, CtrlCStopsTheAnswerAndKeepsTheConversation) {
  const TemporaryDirectory directory;
  const std::string err = directory.file("err");
  int in[2], out[2];
  ASSERT_EQ(pipe2(in, O_CLOEXEC) + pipe2(out, O_CLOEXEC), 0);
  const int err_fd = open(err.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  const pid_t pid = spawn_infer({"chat", "-m", model_, "--template", "vicuna", "--ctx", "16384", "--seed", "1"}, in[0], out[1], err_fd);
  close(in[0]);
  close(out[1]);
  const auto send = [&](std::string_view text) { EXPECT_EQ(write(in[1], text.data(), text.size()), static_cast<ssize_t>(text.size())); };
  char block[256];
  send("Tell me all.\n");
  ASSERT_GT(read(out[0], block, sizeof block), 0);   // it speaks
  kill(pid, SIGINT);
  send("/stats\n");
  close(in[1]);
  while (read(out[0], block, sizeof block) > 0) {
  }
  EXPECT_EQ(wait_for(pid), 0);
  close(out[0]);
  close(err_fd);
  const std::string said = infer::testing::read_bytes(err);
  EXPECT_NE(said.find("answers  1"), std::string::npos) << said;
}

TEST_F(ChatProgram, KeepsALineThatGoesOnToTheEnd) {
  EXPECT_EQ(chat({}, "Who is Pierre?\\\n").out, chat({}, "Who is Pierre?\\\n\n").out);
  EXPECT_NE(chat({}, "Who is Pierre?\\\n").out, "");
}

TEST_F(ChatProgram, NamesTheTemplatesWhenTheModelHasNone) {
  const Outcome run = run_infer({"chat", "-m", model_}, "Hello\n");
  EXPECT_EQ(run.status, 1);
  EXPECT_NE(run.err.find("chatml"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("--template NAME"), std::string::npos) << run.err;
}

TEST_F(ChatProgram, RendersMessagesForAModel) {
  const TemporaryDirectory directory;
  const std::string messages = directory.file("messages.json"), tools = directory.file("tools.json"), own = directory.file("own.jinja");
  write_bytes(messages, R"([{"role": "user", "content": "Hello"}])");
  write_bytes(tools, R"([{"type": "function", "function": {"name": "add"}}])");
  write_bytes(own, "{{ bos_token }}{{ tools[0].function.name }}{{ x }}:{{ messages[0].content }}{{ strftime_now('%Y') | length }}");
  const auto render = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"template", "-m", model_, "--messages", messages});
    return run_infer(more);
  };
  EXPECT_EQ(render({"--template", "chatml"}).out, "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(render({"--template", "chatml", "--no-generation-prompt"}).out, "<|im_start|>user\nHello<|im_end|>\n");
  EXPECT_EQ(render({"--template", "@" + own, "--tools", tools, "--set", "x=[1]"}).out, "<s>add[1]:Hello4");
  const Outcome tokens = render({"--template", "vicuna", "--tokens"});
  EXPECT_EQ(tokens.out, run_infer({"tokenize", "-m", model_, "--parse-special", "USER: Hello\nASSISTANT:"}).out);
  EXPECT_EQ(render({"--template", "chatml", "--tools", tools}).status, 1);
  EXPECT_EQ(render({"--template", "@" + messages + ".no"}).status, 1);
  EXPECT_EQ(render({"--template", "chatml", "--set", "x"}).status, 1);
  EXPECT_EQ(run_infer({"template", "-m", model_}).status, 2);
  EXPECT_EQ(run_infer({"template", "-m", model_, "--template", "chatml", "--check"}).out, "");
  write_bytes(own, "{{ x | nonsense }}");
  const Outcome check = run_infer({"template", "-m", model_, "--template", "@" + own, "--check"});
  EXPECT_EQ(check.status, 1);
  EXPECT_EQ(check.out, "line 1, column 8: filter 'nonsense'\n");
  EXPECT_EQ(run_infer({"template", "-m", model_, "--template", "@" + own, "--source"}).out, "{{ x | nonsense }}");
}

}  // namespace
