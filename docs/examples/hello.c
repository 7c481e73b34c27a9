#include <stdio.h>
#include "libinfer.h"

static int32_t show(void *user, const char *text, size_t length) {
  (void)user;
  fwrite(text, 1, length, stdout);
  return fflush(stdout);
}

int main(int argc, char **argv) {
  infer_model *model = NULL;
  infer_session *session = NULL;
  infer_error *err = NULL;
  if (argc == 2 && infer_model_load_path(argv[1], INFER_STR_NUL, &model, &err) == INFER_OK &&
      infer_session_create(model, NULL, &session, &err) == INFER_OK) {
    infer_generate(session, 0, "The old prince", INFER_STR_NUL, NULL, NULL, show, NULL, NULL, &err);
  }
  const int failed = err != NULL || model == NULL;
  if (failed) fprintf(stderr, "%s\n", err != NULL ? infer_error_message(err) : "usage: hello MODEL.gguf");
  infer_error_release(err);
  infer_session_release(session);
  infer_model_release(model);
  return failed;
}
