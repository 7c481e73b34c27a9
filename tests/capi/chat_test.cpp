// SPDX-License-Identifier: MIT
// Messages, templates of models and chats through the C ABI and its C++ wrapper.
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "libinfer.hpp"

namespace {

using libinfer::Chat;
using libinfer::Messages;
using libinfer::Model;
using libinfer::Options;
using libinfer::Session;
using libinfer::Stream;
using libinfer::Template;

constexpr const char* kPlain =
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

class CApiChat : public ::testing::Test {
 protected:
  Model model_ = *Model::load(INFER_TEST_DATA_DIR "/war-and-peace-2.6m-q8_0.gguf");
  Session session_ = *Session::create(model_);
  Template template_ = *Template::compile(kPlain);

  static Options brief(std::int64_t n) {
    Options options = *Options::create(INFER_OPTIONS_GENERATE);
    EXPECT_TRUE(options.set("max_tokens", n));
    EXPECT_TRUE(options.set("temperature", 0));
    return options;
  }

  static std::string pull(Stream& stream) {
    std::string text;
    for (const libinfer::Event& event : stream) text += event.text();
    EXPECT_TRUE(stream.status());
    return text;
  }
};

TEST_F(CApiChat, RendersTextAndTokens) {
  Messages messages = *Messages::create();
  ASSERT_TRUE(messages.add("system", "Be kind."));
  ASSERT_TRUE(messages.add("user", "Hello"));
  EXPECT_EQ(messages.count(), 2U);
  const auto prompt = template_.render(messages, &model_);
  ASSERT_TRUE(prompt) << prompt.error().message();
  EXPECT_EQ(*prompt->text(), "system: Be kind.\nuser: Hello\nassistant: ");
  const auto tokens = prompt->tokens();
  ASSERT_TRUE(tokens) << tokens.error().message();
  EXPECT_EQ(*tokens, *model_.tokenize(*prompt->text(), INFER_TOKENIZE_ADD_SPECIAL | INFER_TOKENIZE_PARSE_SPECIAL));
  EXPECT_EQ(*template_.render(messages, nullptr, 0)->text(), "system: Be kind.\nuser: Hello\n");
  EXPECT_EQ(template_.render(messages, nullptr)->tokens().error().code(), INFER_E_STATE);
  EXPECT_EQ(template_.render(messages, nullptr, 2).error().code(), INFER_E_ARGUMENT);
}

TEST_F(CApiChat, FindsTemplates) {
  EXPECT_EQ(Template::of(model_).error().code(), INFER_E_NOTFOUND) << "the bundled model is none to chat with";
  EXPECT_EQ(Template::builtin("nothing").error().code(), INFER_E_NOTFOUND);
  std::vector<std::string> names;
  while (const char* name = infer_template_builtin_name(names.size())) names.emplace_back(name);
  EXPECT_GE(names.size(), 10U);
  for (const std::string& name : names) {
    const auto found = Template::builtin(name.c_str());
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(*found->check(), "");
    EXPECT_NE(found->origin()->find("'" + name + "'"), std::string::npos);
    EXPECT_FALSE(found->source()->empty());
  }
}

TEST_F(CApiChat, AnswersInTurn) {
  auto chat = Chat::create(session_, &template_);
  ASSERT_TRUE(chat) << chat.error().message();
  Messages messages = chat->messages();
  ASSERT_TRUE(messages.add("user", "Who is Pierre?"));
  const Options options = brief(5);
  auto first = chat->answer(&options);
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(chat->answer(&options).error().code(), INFER_E_STATE) << "one at a time";
  EXPECT_FALSE(pull(*first).empty());
  EXPECT_EQ(messages.count(), 2U);
  EXPECT_EQ(*first->get_i64("reused_tokens"), 0);

  const std::int64_t held = *session_.length();
  ASSERT_TRUE(messages.add("user", "And then?"));
  auto second = chat->answer(&options);
  ASSERT_TRUE(second) << second.error().message();
  pull(*second);
  EXPECT_EQ(*second->get_i64("reused_tokens"), held);
  EXPECT_EQ(messages.count(), 4U);
  EXPECT_EQ(static_cast<std::int64_t>(session_.tokens()->size()), *session_.length());
}

TEST_F(CApiChat, KeepsWhatAStreamThatIsReleasedHasSaid) {
  auto chat = Chat::create(session_, &template_);
  Messages messages = chat->messages();
  ASSERT_TRUE(messages.add("user", "Who is Pierre?"));
  const Options options = brief(50);
  {
    auto stream = chat->answer(&options);
    ASSERT_TRUE(stream) << stream.error().message();
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(stream->next());
  }
  EXPECT_EQ(messages.count(), 2U);
  ASSERT_TRUE(messages.truncate(0));
  ASSERT_TRUE(messages.add("user", "Again"));
  EXPECT_TRUE(chat->answer(&options));
}

TEST_F(CApiChat, OutlivesWhatItWasMadeFrom) {
  std::vector<Messages> kept;
  {
    const Session session = *Session::create(model_);
    auto chat = Chat::create(session, &template_);
    kept.push_back(chat->messages());
    ASSERT_TRUE(kept[0].add("user", "Hi"));
    auto stream = chat->answer();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(stream->next());
  }
  EXPECT_EQ(kept[0].count(), 2U) << "the answer that was given up is there";
  EXPECT_TRUE(kept[0].add("user", "still works"));
}

TEST_F(CApiChat, MayBeReleasedBeforeItsStream) {
  auto stream = [&] {
    auto chat = Chat::create(session_, &template_);
    EXPECT_TRUE(chat->messages().add("user", "Hi"));
    const Options options = brief(3);
    return chat->answer(&options);
  }();
  ASSERT_TRUE(stream);
  pull(*stream);
}

TEST_F(CApiChat, AnAnswerWithoutATokenAddsNothing) {
  auto chat = Chat::create(session_, &template_);
  Messages messages = chat->messages();
  ASSERT_TRUE(messages.add("user", "Hi"));
  ASSERT_TRUE(chat->answer());   // and released
  EXPECT_EQ(messages.count(), 1U);
  const auto cancel = libinfer::Cancel::create();
  cancel->trigger();
  auto stream = chat->answer(nullptr, &*cancel);
  ASSERT_TRUE(stream);
  EXPECT_EQ(pull(*stream), "");
  EXPECT_EQ(messages.count(), 1U);
}

TEST_F(CApiChat, GivesItsMessagesToBeStored) {
  auto chat = Chat::create(session_, &template_);
  Messages messages = chat->messages();
  ASSERT_TRUE(messages.add("user", "Hi \"there\""));
  const auto json = messages.json();
  ASSERT_TRUE(json) << json.error().message();
  EXPECT_EQ(*json, R"([{"role": "user", "content": "Hi \"there\""}])");
  Messages copy = *Messages::create();
  ASSERT_TRUE(copy.add_json(*json));
  EXPECT_EQ(*copy.json(), *json);
  EXPECT_EQ(*chat->chat_template().source(), kPlain);
}

TEST_F(CApiChat, NullsAndForeignHandlesAreErrors) {
  infer_chat* chat = nullptr;
  infer_stream* stream = nullptr;
  infer_template* chat_template = nullptr;
  infer_messages* messages = nullptr;
  infer_prompt* prompt = nullptr;
  EXPECT_EQ(infer_chat_create(nullptr, 0, nullptr, &chat, nullptr), INFER_E_ARGUMENT);
  EXPECT_EQ(infer_chat_create(session_.get(), 0, nullptr, &chat, nullptr), INFER_E_NOTFOUND);
  EXPECT_EQ(infer_chat_create(session_.get(), 9, template_.get(), &chat, nullptr), INFER_E_SEQUENCE);
  EXPECT_EQ(infer_chat_answer(nullptr, nullptr, nullptr, &stream, nullptr), INFER_E_ARGUMENT);
  EXPECT_EQ(infer_chat_messages(nullptr, &messages, nullptr), INFER_E_ARGUMENT);
  EXPECT_EQ(infer_template_of(nullptr, nullptr, &chat_template, nullptr), INFER_E_ARGUMENT);
  EXPECT_EQ(infer_template_builtin(nullptr, &chat_template, nullptr), INFER_E_ARGUMENT);
  EXPECT_EQ(infer_template_render(template_.get(), nullptr, nullptr, 0, &prompt, nullptr), INFER_E_ARGUMENT);
  EXPECT_EQ(infer_messages_create(nullptr, nullptr), INFER_E_ARGUMENT);
  EXPECT_EQ(infer_messages_add(nullptr, "user", "x", 1, nullptr), INFER_E_ARGUMENT);
  const Messages made = *Messages::create();
  EXPECT_EQ(infer_messages_add(made.get(), nullptr, "x", 1, nullptr), INFER_E_ARGUMENT);
  EXPECT_EQ(infer_messages_add(made.get(), "user", nullptr, 1, nullptr), INFER_E_ARGUMENT);
  EXPECT_EQ(infer_messages_add(reinterpret_cast<infer_messages*>(model_.get()), "user", "x", 1, nullptr), INFER_E_HANDLE);
  EXPECT_EQ(infer_messages_count(nullptr), 0U);
  EXPECT_EQ(infer_seq_truncate(session_.get(), 0, 1, nullptr), INFER_E_RANGE);
  EXPECT_EQ(infer_seq_tokens(session_.get(), 3, nullptr, 0, nullptr, nullptr), INFER_E_SEQUENCE);
}

}  // namespace
