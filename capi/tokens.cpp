// SPDX-License-Identifier: MIT
// Tokenising, detokenising, facts of tokens, and the incremental decoder.
#include <fmt/format.h>

#include "capi/handles.h"

using infer::Code;
using infer::Result;
using infer::Status;
using infer::Tokenizer;
using namespace infer::capi;

namespace {

/// The model's tokenizer, when the arguments are in order.
Result<const Tokenizer*> tokenizer_of(const infer_model* model) {
  INFER_TRY(check(model, "model"));
  return model->model->tokenizer();
}

Status check_token(const Tokenizer& tokenizer, std::int32_t token) {
  if (token >= 0 && token < tokenizer.size()) return {};
  return Status::error(Code::token, fmt::format("token {} is outside the vocabulary 0..{}", token, tokenizer.size() - 1));
}

Status give(infer_decoder& decoder, const char** text, std::size_t* length) {
  *text = decoder.text.c_str();
  if (length != nullptr) *length = decoder.text.size();
  return {};
}

/// infer_tokenize; with `spans`, where the tokens stand, too.
Status tokenize(const infer_model* model, const char* text, std::size_t length, std::int32_t flags, std::int32_t* tokens,
                std::size_t capacity, std::size_t* need, std::vector<infer::TextSpan>* spans) {
  INFER_TRY(clear_out(need, "need"));
  if (tokens == nullptr && capacity > 0) return null_argument("tokens");
  INFER_ASSIGN(const Tokenizer* const tokenizer, tokenizer_of(model));
  INFER_ASSIGN(const std::string_view input, text_argument(text, length, "text"));
  INFER_TRY(check_flags(flags, INFER_TOKENIZE_ADD_SPECIAL | INFER_TOKENIZE_PARSE_SPECIAL | INFER_TOKENIZE_ONE_THREAD));
  INFER_ASSIGN(const std::vector<infer::Token> ids,
               tokenizer->encode(input, {.add_special = (flags & INFER_TOKENIZE_ADD_SPECIAL) != 0,
                                         .parse_special = (flags & INFER_TOKENIZE_PARSE_SPECIAL) != 0,
                                         .n_threads = (flags & INFER_TOKENIZE_ONE_THREAD) != 0 ? 1 : 0,
                                         .executor = model->env->executor,
                                         .spans = spans}));
  return copy_tokens(ids, tokens, capacity, need);
}

}  // namespace

extern "C" {

infer_status infer_tokenize(const infer_model* model, const char* text, size_t length, int32_t flags, int32_t* tokens,
                            size_t capacity, size_t* need, infer_error** err) {
  return guard(err, [&] { return tokenize(model, text, length, flags, tokens, capacity, need, nullptr); });
}

infer_status infer_tokenize_spans(const infer_model* model, const char* text, size_t length, int32_t flags, int32_t* tokens,
                                  size_t* begins, size_t* ends, size_t capacity, size_t* need, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(need, "need"));
    if (begins == nullptr && capacity > 0) return null_argument("begins");
    if (ends == nullptr && capacity > 0) return null_argument("ends");
    std::vector<infer::TextSpan> spans;
    INFER_TRY(tokenize(model, text, length, flags, tokens, capacity, need, &spans));
    for (std::size_t i = 0; i < spans.size(); ++i) {
      begins[i] = spans[i].begin;
      ends[i] = spans[i].end;
    }
    return {};
  });
}

infer_status infer_detokenize(const infer_model* model, const int32_t* tokens, size_t n_tokens, int32_t flags, char* buffer,
                              size_t capacity, size_t* need, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(buffer, capacity, need));
    if (tokens == nullptr && n_tokens > 0) return null_argument("tokens");
    INFER_ASSIGN(const Tokenizer* const tokenizer, tokenizer_of(model));
    INFER_TRY(check_flags(flags, INFER_DETOKENIZE_REMOVE_SPECIAL | INFER_DETOKENIZE_RENDER_SPECIAL));
    INFER_ASSIGN(const std::string text,
                 tokenizer->decode({tokens, n_tokens}, {.remove_special = (flags & INFER_DETOKENIZE_REMOVE_SPECIAL) != 0,
                                                        .unparse_special = (flags & INFER_DETOKENIZE_RENDER_SPECIAL) != 0}));
    return copy_out(text, buffer, capacity, need);
  });
}

infer_status infer_token_bytes(const infer_model* model, int32_t token, int32_t flags, const char** bytes, size_t* length,
                               infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(bytes, "bytes"));
    INFER_TRY(clear_out(length, "length"));
    INFER_ASSIGN(const Tokenizer* const tokenizer, tokenizer_of(model));
    INFER_TRY(check_flags(flags, INFER_DETOKENIZE_RENDER_SPECIAL));
    INFER_TRY(check_token(*tokenizer, token));
    const std::string_view piece = tokenizer->piece(token, (flags & INFER_DETOKENIZE_RENDER_SPECIAL) != 0);
    *bytes = piece.empty() ? "" : piece.data();
    *length = piece.size();
    return {};
  });
}

infer_status infer_token_special(const infer_model* model, const char* role, int32_t* token, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(token, "token"));
    if (role == nullptr) return null_argument("role");
    INFER_ASSIGN(const Tokenizer* const tokenizer, tokenizer_of(model));
    const infer::SpecialTokens& s = tokenizer->special();
    const std::pair<const char*, infer::Token> roles[] = {{"bos", s.bos}, {"eos", s.eos}, {"unk", s.unk}, {"sep", s.sep},
                                                          {"pad", s.pad}, {"eot", s.eot}, {"eom", s.eom}};
    for (const auto& [name, id] : roles) {
      if (std::string_view(role) != name) continue;
      if (id == infer::kNoToken) return Status::error(Code::notfound, fmt::format("the vocabulary has no {} token", role));
      *token = id;
      return {};
    }
    return Status::error(Code::argument, fmt::format("unknown role '{}'; known: bos, eos, unk, sep, pad, eot, eom", role));
  });
}

infer_status infer_token_type(const infer_model* model, int32_t token, int32_t* type, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(type, "type"));
    INFER_ASSIGN(const Tokenizer* const tokenizer, tokenizer_of(model));
    INFER_TRY(check_token(*tokenizer, token));
    *type = static_cast<std::int32_t>(tokenizer->type(token));
    return {};
  });
}

infer_status infer_token_is_end(const infer_model* model, int32_t token, int32_t* is_end, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(is_end, "is_end"));
    INFER_ASSIGN(const Tokenizer* const tokenizer, tokenizer_of(model));
    INFER_TRY(check_token(*tokenizer, token));
    *is_end = tokenizer->ends_generation(token) ? 1 : 0;
    return {};
  });
}

infer_status infer_decoder_create(const infer_model* model, int32_t flags, infer_decoder** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_ASSIGN(const Tokenizer* const tokenizer, tokenizer_of(model));
    INFER_TRY(check_flags(flags, INFER_DETOKENIZE_RENDER_SPECIAL));
    auto decoder = std::make_unique<infer_decoder>();
    decoder->shows_special = (flags & INFER_DETOKENIZE_RENDER_SPECIAL) != 0;
    decoder->model = Ref<infer_model>(const_cast<infer_model*>(model));   // counts a reference, changes nothing else
    decoder->tokenizer = tokenizer;
    decoder->text.reserve(infer::Utf8Stream::most_out(model->model->longest_piece()));   // pushes allocate nothing
    *out = decoder.release();
    return {};
  });
}
void infer_decoder_release(infer_decoder* decoder) { release(decoder); }

infer_status infer_decoder_push(infer_decoder* decoder, int32_t token, const char** text, size_t* length, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(text, length));
    INFER_TRY(check(decoder, "decoder"));
    INFER_ENTER(decoder, "decoder");
    INFER_TRY(check_token(*decoder->tokenizer, token));
    decoder->text.clear();
    decoder->utf8.push(decoder->tokenizer->piece(token, decoder->shows_special), decoder->text);
    return give(*decoder, text, length);
  });
}

infer_status infer_decoder_flush(infer_decoder* decoder, const char** text, size_t* length, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(text, length));
    INFER_TRY(check(decoder, "decoder"));
    INFER_ENTER(decoder, "decoder");
    decoder->text.clear();
    decoder->utf8.flush(decoder->text);
    return give(*decoder, text, length);
  });
}

}  // extern "C"
