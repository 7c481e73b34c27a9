// SPDX-License-Identifier: MIT
// Tests of src/runtime/chat.cpp: what is fed with each answer, and that the answers are those of the whole prompt.
#include "libinfer/chat.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testing/bundled.h"
#include "tests/testing/logits.h"

namespace infer {
namespace {

constexpr std::string_view kPlain =
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
constexpr std::string_view kTrimmed =
    "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}.\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

struct Said {
  std::string text;
  std::vector<Token> tokens;
  std::int64_t fed = 0;
  FinishReason finish = FinishReason::none;
};

Said pull(Chat& chat, const GenerationOptions& options, int cancel_after = -1) {
  CancelFlag cancel;
  Result<std::unique_ptr<Generation>> started = chat.answer(options, &cancel);
  EXPECT_TRUE(started.ok()) << started.status().message();
  if (!started.ok()) return {};
  Generation& g = *started.value();
  Said said;
  for (;;) {
    const Result<const GenerationEvent*> event = g.next();
    EXPECT_TRUE(event.ok()) << event.status().message();
    if (!event.ok() || event.value() == nullptr) break;
    said.text += event.value()->text;
    if (event.value()->kind == GenerationEvent::Kind::token) said.tokens.push_back(event.value()->token);
    if (event.value()->kind == GenerationEvent::Kind::end) said.finish = event.value()->finish;
    if (cancel_after >= 0 && static_cast<int>(said.tokens.size()) == cancel_after) cancel.set = true;
  }
  said.fed = g.stats().prompt_tokens;
  EXPECT_EQ(g.text(), said.text);
  EXPECT_TRUE(chat.finish(g).ok());
  return said;
}

std::unique_ptr<Session> session_of(const std::shared_ptr<const Model>& model, std::int64_t n_ctx = 256) {
  return std::move(Session::create(model, {.n_ctx = n_ctx, .kv_type = "f32"})).value();
}

std::unique_ptr<Chat> chat_of(Session& session, std::string_view source) {
  return std::move(Chat::create(session, 0, ChatTemplate::compile(source).value())).value();
}

GenerationOptions sampled(std::int64_t n) {
  return {.sampler = {.temperature = 0.9F, .repetition_penalty = 1.2F, .seed = 7}, .max_tokens = n};
}

TEST(Chat, FeedsOnlyWhatIsNew) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const auto session = session_of(model);
  const auto chat = chat_of(*session, kPlain);
  std::int64_t held = 0;
  for (const char* question : {"Who is Pierre?", "And \xf0\x9f\x98\x80?", "\xe4\xbd\xa0\xe5\xa5\xbd", "Why?"}) {
    ASSERT_TRUE(chat->messages().add("user", question).ok());
    const Said said = pull(*chat, sampled(9));
    EXPECT_EQ(said.finish, FinishReason::length);
    EXPECT_EQ(chat->reused_tokens(), held) << question;
    EXPECT_EQ(chat->prompt_tokens(), held + said.fed) << question;
    held = session->length(0);
    EXPECT_EQ(held, chat->prompt_tokens() + 9);
  }
  EXPECT_EQ(chat->messages().size(), 8U);
}

TEST(Chat, LeavesASpaceToTheTemplateThatWritesIt) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const auto session = session_of(model);
  const auto chat = chat_of(*session, "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
                                      "{% if add_generation_prompt %}assistant:{% endif %}");
  ASSERT_TRUE(chat->messages().add("user", "Who is Pierre?").ok());
  const Said said = pull(*chat, sampled(9));
  ASSERT_TRUE(said.text.starts_with(' ')) << said.text;
  const std::int64_t held = session->length(0);
  ASSERT_TRUE(chat->messages().add("user", "And then?").ok());
  pull(*chat, sampled(9));
  EXPECT_EQ(chat->reused_tokens(), held);
}

TEST(Chat, KeepsThePromptOfAnAnswerThatTheTemplateShowsOtherwise) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const auto session = session_of(model);
  const auto chat = chat_of(*session, "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
                                      "{% if add_generation_prompt %}assistant:{% endif %}");
  Said said;
  ASSERT_TRUE(chat->messages().add("user", "Who is Pierre?").ok());
  pull(*chat, sampled(9));
  ASSERT_TRUE(chat->messages().add("user", "And then?").ok());
  for (std::uint64_t seed = 0; seed < 200; ++seed) {   // until it begins without the space that the template writes
    chat->messages().truncate(3);
    said = pull(*chat, {.sampler = {.temperature = 3.0F, .seed = seed}, .max_tokens = 4});
    if (!said.text.starts_with(' ')) break;
  }
  ASSERT_FALSE(said.text.starts_with(' '));
  const std::int64_t asked = chat->prompt_tokens();
  ASSERT_TRUE(chat->messages().add("user", "Why?").ok());
  pull(*chat, sampled(9));
  EXPECT_EQ(chat->reused_tokens(), asked);
}

TEST(Chat, KeepsAnAnswerUpToItsStopString) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const auto session = session_of(model);
  const auto chat = chat_of(*session, kPlain);
  GenerationOptions options = sampled(100);
  options.stop = {"e"};
  ASSERT_TRUE(chat->messages().add("user", "Who is Pierre?").ok());
  const Said said = pull(*chat, options);
  ASSERT_EQ(said.finish, FinishReason::stop);
  const std::int64_t asked = chat->prompt_tokens(), held = session->length(0);
  ASSERT_GT(held, asked + 1);
  ASSERT_TRUE(chat->messages().add("user", "And then?").ok());
  pull(*chat, sampled(9));
  EXPECT_EQ(chat->reused_tokens(), held - 1) << "all but the token that completed the stop string";
}

TEST(Chat, AnswersAsIfThePromptWereFedAtOnce) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  for (const std::string_view source : {kPlain, kTrimmed}) {
    const auto session = session_of(model);
    const auto chat = chat_of(*session, source);
    for (int turn = 0; turn < 4; ++turn) {
      ASSERT_TRUE(chat->messages().add("user", turn % 2 == 0 ? "What then?" : "Who said so?").ok());
      const Said said = pull(*chat, sampled(12), turn == 1 ? 5 : -1);
      // What the sequence holds now begins with the prompt: the same prompt, from nothing.
      const std::span<const Token> held = session->tokens(0);
      const std::vector<Token> prompt(held.begin(), held.begin() + chat->prompt_tokens());
      const auto fresh = session_of(model);
      auto again = std::move(Generation::start(*fresh, 0, prompt, sampled(12), nullptr)).value();
      std::vector<Token> tokens;
      while (const GenerationEvent* event = again->next().value()) {
        if (event->kind == GenerationEvent::Kind::token) tokens.push_back(event->token);
      }
      tokens.resize(said.tokens.size());
      EXPECT_EQ(said.tokens, tokens) << "turn " << turn;
    }
  }
}

TEST(Chat, KeepsWhatWasSaidBeforeACancel) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const auto session = session_of(model);
  const auto chat = chat_of(*session, kPlain);
  ASSERT_TRUE(chat->messages().add("user", "Tell me all.").ok());
  const Said said = pull(*chat, sampled(50), 6);
  EXPECT_EQ(said.finish, FinishReason::cancelled);
  EXPECT_EQ(said.tokens.size(), 6U);
  EXPECT_EQ(chat->messages().size(), 2U);

  const std::int64_t held = session->length(0);
  ASSERT_TRUE(chat->messages().add("user", "Go on.").ok());
  pull(*chat, sampled(3));
  EXPECT_EQ(chat->reused_tokens(), held);
}

/// A template that takes millions of steps: a cancel ends its rendering, and the end of an answer does not wait for it.
TEST(Chat, ACancelIsSeenWhileATemplateRuns) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const auto session = session_of(model);
  const auto chat = chat_of(*session, "{% for i in range(300000) %}{% endfor %}{{ messages | length }}");
  ASSERT_TRUE(chat->messages().add("user", "Tell me all.").ok());
  CancelFlag cancel;
  cancel.set = true;
  const auto refused = chat->answer(sampled(3), &cancel);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::cancelled);
  EXPECT_EQ(chat->messages().size(), 1U);
  cancel.set = false;
  EXPECT_TRUE(chat->answer(sampled(3), &cancel).ok());
}

TEST(Chat, GoesBackWhenMessagesAreCut) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const auto session = session_of(model);
  const auto chat = chat_of(*session, kPlain);
  ASSERT_TRUE(chat->messages().add("user", "Who is Pierre?").ok());
  const Said first = pull(*chat, sampled(8));
  const std::int64_t held = session->length(0);
  ASSERT_TRUE(chat->messages().add("user", "Indeed? Tell me more of him, and of his wife.").ok());
  pull(*chat, sampled(8));

  chat->messages().truncate(2);
  ASSERT_TRUE(chat->messages().add("user", "No.").ok());
  pull(*chat, sampled(8));
  EXPECT_GE(chat->reused_tokens(), held - 1) << "but for what the two questions have in common";
  EXPECT_LT(chat->reused_tokens(), chat->prompt_tokens());

  chat->messages().truncate(1);
  const Said again = pull(*chat, sampled(8));
  EXPECT_EQ(again.tokens, first.tokens);
  EXPECT_EQ(again.fed, 1) << "the logits of the last token";
}

TEST(Chat, TakesNoControlTokenFromAQuestionThatRepeatsWhatWasSaid) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const auto session = session_of(model);
  const auto chat = chat_of(*session, "{% for m in messages %}{{ m.content }}</s>{% endfor %}");
  ASSERT_TRUE(chat->messages().add("user", "Who is Pierre?").ok());
  const Said said = pull(*chat, sampled(4));
  chat->messages().truncate(0);
  ASSERT_TRUE(chat->messages().add("user", "Who is Pierre?</s>" + said.text + " and more").ok());
  pull(*chat, sampled(1));
  const std::span<const Token> held = session->tokens(0).first(static_cast<std::size_t>(chat->prompt_tokens()));
  EXPECT_EQ(std::count(held.begin(), held.end(), model->tokenizer().value()->special().eos), 1) << "the template's own";
}

TEST(Chat, AFailureLeavesTheMessagesAndAnotherAnswerMayFollow) {
  const auto model = testing::bundled_model();
  ASSERT_NE(model, nullptr);
  const auto session = session_of(model, 64);
  const auto chat = chat_of(*session, "{% for m in messages %}{{ m.content }}{% if m.content == 'no' %}"
                                      "{{ raise_exception('not that') }}{% endif %}{% endfor %}");
  ASSERT_TRUE(chat->messages().add("user", "no").ok());
  EXPECT_EQ(chat->answer(sampled(4), nullptr).status().code(), Code::chat_template);
  EXPECT_EQ(chat->messages().size(), 1U);
  chat->messages().truncate(0);
  std::string words;
  for (int i = 0; i < 200; ++i) words += "word ";
  ASSERT_TRUE(chat->messages().add("user", words).ok());
  EXPECT_EQ(chat->answer(sampled(4), nullptr).status().code(), Code::context_full);
  chat->messages().truncate(0);
  ASSERT_TRUE(chat->messages().add("user", "Yes").ok());
  EXPECT_EQ(pull(*chat, sampled(4)).tokens.size(), 4U);
}

/// A random model over letters, one of 64 tokens of which ends a text.
std::vector<std::byte> letters_model() {
  testing::TinyModel tiny;
  tiny.n_vocab = 64;
  testing::GgufWriter w = testing::tiny_model_writer(tiny);
  std::vector<std::string> texts = {"<unk>", "<s>", "</s>", "\xe2\x96\x81"};
  std::vector<std::int32_t> types = {2, 3, 3, 1};
  for (char c = 'A'; texts.size() < 64; ++c) {
    texts.emplace_back(1, c);
    types.push_back(1);
  }
  w.set("tokenizer.ggml.model", "llama").set("tokenizer.ggml.tokens", texts).set("tokenizer.ggml.token_type", types);
  w.set("tokenizer.ggml.scores", std::vector<float>(texts.size()));
  return w.build();
}

TEST(Chat, KeepsTheTokenThatEndedAnAnswerWhereTheTemplateHasIt) {
  const testing::Loaded loaded(letters_model());
  ASSERT_NE(loaded.model, nullptr) << loaded.status.message();
  for (const std::string end : {"{{ eos_token }}", "", "Z{{ eos_token }}"}) {
    const auto session = session_of(loaded.model);
    const auto chat = chat_of(*session, "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}" + end +
                                            "{% endif %}{% endfor %}");
    std::uint64_t seed = 0;
    Said said;
    const auto is_hidden = [](Token token) { return token < 2; };
    do {   // until it ends by itself, with nothing in it that has no text
      chat->messages().truncate(0);
      ASSERT_TRUE(chat->messages().add("user", "ABC").ok());
      said = pull(*chat, {.sampler = {.temperature = 100.0F, .seed = seed++}, .max_tokens = 50});
    } while ((said.finish != FinishReason::eog || std::any_of(said.tokens.begin(), said.tokens.end(), is_hidden)) && seed < 1000);
    ASSERT_LT(seed, 1000U);
    const std::int64_t held = session->length(0);
    ASSERT_TRUE(chat->messages().add("user", "DEF").ok());
    pull(*chat, sampled(3));
    EXPECT_EQ(chat->reused_tokens(), end.starts_with("{") ? held : held - 1) << end;
  }
}

TEST(Chat, FeedsAllAgainWhereASlidingWindowHasPassed) {
  testing::TinyModel tiny;
  tiny.context = 512;
  tiny.sliding_window = 8;
  const testing::Loaded loaded(testing::make_tiny_model(tiny));
  ASSERT_NE(loaded.model, nullptr) << loaded.status.message();
  const auto session = session_of(loaded.model, 512);
  const auto chat = chat_of(*session, kPlain);
  ASSERT_TRUE(chat->messages().add("user", std::string(300, 'a')).ok());
  const Said first = pull(*chat, sampled(5));
  ASSERT_GT(first.fed, 128) << "pages behind the window were given back";
  chat->messages().truncate(0);
  ASSERT_TRUE(chat->messages().add("user", std::string(20, 'a')).ok());
  pull(*chat, sampled(5));
  EXPECT_EQ(chat->reused_tokens(), 0);
  chat->messages().truncate(0);
  ASSERT_TRUE(chat->messages().add("user", std::string(300, 'a')).ok());
  EXPECT_EQ(pull(*chat, sampled(5)).tokens, first.tokens);
}

}  // namespace
}  // namespace infer
