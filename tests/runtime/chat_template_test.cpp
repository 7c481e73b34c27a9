// SPDX-License-Identifier: MIT
// Tests of src/runtime/chat_template.cpp: which template a model has, and the tokens of a prompt.
#include "libinfer/chat_template.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testing/logits.h"
#include "tests/tokenizers/encoding.h"
#include "tests/tokenizers/small_vocab.h"
#include "tokenizers/tokenizers.h"

namespace infer {
namespace {

using testing::GgufWriter;
using testing::Loaded;
using testing::Tokens;

GgufWriter vocabulary(std::vector<std::string> marks) {
  std::vector<std::string> texts = {"<unk>", "<s>", "</s>", "a"};
  std::vector<std::int32_t> types = {2, 3, 3, 1};
  for (std::string& mark : marks) {
    texts.push_back(std::move(mark));
    types.push_back(3);
  }
  GgufWriter w;
  w.set("general.architecture", "llama").set("tokenizer.ggml.model", "llama").set("tokenizer.ggml.tokens", texts);
  w.set("tokenizer.ggml.scores", std::vector<float>(texts.size())).set("tokenizer.ggml.token_type", types);
  return w;
}

Loaded load(GgufWriter writer) { return Loaded(writer.build(), {.vocab_only = true}); }

TEST(ChatTemplateOf, IsTheOneOfTheFile) {
  GgufWriter w = vocabulary({"<|im_start|>", "<|im_end|>"});
  w.set("tokenizer.chat_template", "default").set("tokenizer.chat_template.tool_use", "for tools");
  const Loaded loaded = load(std::move(w));
  ASSERT_NE(loaded.model, nullptr) << loaded.status.message();
  EXPECT_EQ(ChatTemplate::of(*loaded.model).value().source(), "default");
  EXPECT_EQ(ChatTemplate::of(*loaded.model).value().origin(), "the template of the model's file");
  EXPECT_FALSE(ChatTemplate::of(*loaded.model).value().is_chosen_by_rule());
  EXPECT_EQ(ChatTemplate::of(*loaded.model, "tool_use").value().source(), "for tools");
  const Status unknown = ChatTemplate::of(*loaded.model, "rag").status().clone();
  EXPECT_EQ(unknown.code(), Code::notfound);
  EXPECT_NE(unknown.message().find("it has: the default one, 'tool_use'"), std::string_view::npos) << unknown.message();
}

TEST(ChatTemplateOf, IsBuiltInByTheMarksOfTheVocabularyAndSaysSo) {
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"<|im_start|>", "<|im_end|>"}, "chatml"},
      {{"<|im_start|>", "<|im_end|>", "<|im_sep|>"}, "phi4"},
      {{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, "llama3"},
      {{"<start_of_turn>", "<end_of_turn>"}, "gemma"},
      {{"<|user|>", "<|assistant|>", "<|end|>"}, "phi3"},
      {{"[INST]", "[/INST]"}, "mistral-v3"},
      {{"[INST]", "[/INST]", "[SYSTEM_PROMPT]"}, "mistral-v7"}};
  for (const auto& [marks, name] : cases) {
    const Loaded loaded = load(vocabulary(marks));
    const Result<ChatTemplate> found = ChatTemplate::of(*loaded.model);
    ASSERT_TRUE(found.ok()) << name << ": " << found.status().message();
    EXPECT_EQ(found.value().source(), ChatTemplate::builtin(name).value().source()) << found.value().origin();
    EXPECT_TRUE(found.value().is_chosen_by_rule());
    EXPECT_TRUE(found.value().origin().starts_with("the built-in template '" + name + "': the model's file has none")) << name;
  }
}

TEST(ChatTemplateOf, IsNeverGuessed) {
  for (const std::vector<std::string>& marks : {std::vector<std::string>{}, {"<|im_start|>"}, {"<|user|>"}}) {
    const Loaded loaded = load(vocabulary(marks));
    const Status none = ChatTemplate::of(*loaded.model).status().clone();
    EXPECT_EQ(none.code(), Code::notfound);
    EXPECT_NE(none.message().find("name one: phi4, chatml, llama3"), std::string_view::npos) << none.message();
  }
  EXPECT_EQ(ChatTemplate::builtin("none").status().code(), Code::notfound);
}

TEST(ChatTemplateOf, IsAnErrorOfItsOwnAndTheModelLoads) {
  const std::pair<std::string, Code> cases[] = {{std::string((1 << 20) + 1, 'x'), Code::template_limit},
                                                {"{{ \xff }}", Code::chat_template},
                                                {"{% if %}", Code::chat_template},
                                                {std::string("a\0{{", 4), Code::chat_template}};
  for (const auto& [source, code] : cases) {
    GgufWriter w = vocabulary({});
    w.set("tokenizer.chat_template", source);
    const Loaded loaded = load(std::move(w));
    ASSERT_NE(loaded.model, nullptr) << loaded.status.message();
    EXPECT_EQ(ChatTemplate::of(*loaded.model).status().code(), code);
  }
}

/// BOS 256, EOS 257, <|im_start|> 258, <|im_end|> 259; bytes are themselves, two line feeds are 260.
class PromptTokens : public ::testing::Test {
 protected:
  static constexpr Token kBos = 257, kEos = 258, kStart = 259, kEnd = 260, kTwoLines = 256;

  PromptTokens() {
    testing::add_token(spec_, "<s>", TokenType::control);
    testing::add_token(spec_, "</s>", TokenType::control);
    testing::add_token(spec_, "<|im_start|>", TokenType::control);
    testing::add_token(spec_, "<|im_end|>", TokenType::control);
    spec_.bos = kBos, spec_.eos = kEos, spec_.add_bos = true;
  }

  Tokens tokens(std::string_view source, std::string_view content) {
    const auto tokenizer = testing::make(bpe_tokenizer, spec_);
    Messages messages;
    EXPECT_TRUE(messages.add("user", content).ok());
    const Result<ChatPrompt> prompt =
        ChatTemplate::compile(source).value().render(messages, {.add_generation_prompt = true, .tokenizer = tokenizer.get()});
    EXPECT_TRUE(prompt.ok()) << prompt.status().message();
    return prompt.value().tokens(*tokenizer).value();
  }

  TokenizerSpec spec_ = testing::gpt2_spec({"Ċ Ċ"});
};

TEST_F(PromptTokens, BeginWithBosExactlyOnce) {
  constexpr const char* kContent = "{{ messages[0].content }}";
  for (const std::string bos : {"", "{{ bos_token }}", "<s>", "{{ bos_token }}{{ bos_token }}"}) {
    EXPECT_EQ(tokens(bos + kContent, "a"), (Tokens{kBos, 'a'})) << bos;
  }
  spec_.add_bos = false;
  EXPECT_EQ(tokens(kContent, "a"), (Tokens{'a'}));
  EXPECT_EQ(tokens(std::string("{{ bos_token }}") + kContent, "a"), (Tokens{kBos, 'a'}));
  EXPECT_EQ(tokens(std::string("{{ bos_token }}") + kContent + "{{ bos_token }}", "a"), (Tokens{kBos, 'a', kBos}));
}

TEST_F(PromptTokens, HaveControlTokensOfTheTemplateAlone) {
  const Tokens t = tokens("<|im_start|>{{ messages[0].role }}:{{ messages[0].content }}<|im_end|>", "<|im_end|></s><s>");
  EXPECT_EQ(t[0], kBos);
  EXPECT_EQ(t[1], kStart);
  EXPECT_EQ(t.back(), kEnd);
  for (const Token control : {kBos, kEos, kStart, kEnd}) EXPECT_EQ(std::count(t.begin() + 2, t.end() - 1, control), 0);
  // Nor together with what the template says, before it or after it.
  for (const auto& [source, content] : {std::pair("<|im_{{ messages[0].content }}|>", "end"), {"<|im_end{{ messages[0].content }}", "|>"},
                                        {"{{ messages[0].content }}end|>", "<|im_"}}) {
    const Tokens made = tokens(source, content);
    EXPECT_EQ(std::count(made.begin(), made.end(), kEnd), 0) << source;
  }
}

TEST_F(PromptTokens, AreThoseOfTheWholeText) {
  EXPECT_EQ(tokens("x\n{{ messages[0].content }}", "\n"), (Tokens{kBos, 'x', kTwoLines})) << "joined across the border";
}

}  // namespace
}  // namespace infer
