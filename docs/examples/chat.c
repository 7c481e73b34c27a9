/* SPDX-License-Identifier: MIT
 * A conversation in C: lines in, answers out. chat MODEL.gguf [TEMPLATE], where TEMPLATE names a built-in chat template for files
 * that have none. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "libinfer.h"

/* Pulls the answer and prints it as it comes. */
static infer_status answer(infer_chat *chat, const infer_options *options, infer_error **err) {
  infer_stream *stream = NULL;
  const infer_event *event = NULL;
  infer_status status = infer_chat_answer(chat, options, NULL, &stream, err);
  while (status == INFER_OK && (status = infer_stream_next(stream, &event, err)) == INFER_OK) {
    fputs(infer_event_text(event, NULL), stdout);
    fflush(stdout);
  }
  infer_stream_release(stream);   /* the answer is in the messages now */
  putchar('\n');
  return status < 0 ? status : INFER_OK;
}

/* Tells templates that write the date what time it is. */
static infer_status set_now(infer_messages *messages, infer_error **err) {
  char now[32] = "";
  const time_t clock = time(NULL);
  const struct tm *local = localtime(&clock);
  if (local != NULL) strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%S", local);
  return infer_messages_set_now(messages, now, err);
}

int main(int argc, char **argv) {
  infer_model *model = NULL;
  infer_session *session = NULL;
  infer_template *named = NULL;   /* none: the model's own */
  infer_chat *chat = NULL;
  infer_messages *messages = NULL;
  infer_options *options = NULL;
  infer_error *err = NULL;
  char line[4096];

  if (argc < 2) return fputs("usage: chat MODEL.gguf [TEMPLATE]\n", stderr), 2;
  if (infer_model_load_path(argv[1], INFER_STR_NUL, &model, &err) == INFER_OK &&
      infer_session_create(model, NULL, &session, &err) == INFER_OK &&
      (argc < 3 || infer_template_builtin(argv[2], &named, &err) == INFER_OK) &&
      infer_chat_create(session, 0, named, &chat, &err) == INFER_OK &&
      infer_chat_messages(chat, &messages, &err) == INFER_OK && set_now(messages, &err) == INFER_OK &&
      infer_options_create(INFER_OPTIONS_GENERATE, &options, &err) == INFER_OK &&
      infer_options_set_i64(options, "max_tokens", 40, &err) == INFER_OK) {
    while (err == NULL && fgets(line, sizeof line, stdin) != NULL) {
      line[strcspn(line, "\n")] = '\0';
      if (infer_messages_add(messages, "user", line, INFER_STR_NUL, &err) == INFER_OK) answer(chat, options, &err);
    }
  }
  if (err != NULL) fprintf(stderr, "%s\n", infer_error_message(err));
  const int failed = err != NULL;
  infer_error_release(err);
  infer_options_release(options);
  infer_chat_release(chat);   /* in any order: objects keep what they need */
  infer_template_release(named);
  infer_session_release(session);
  infer_model_release(model);
  return failed;
}
