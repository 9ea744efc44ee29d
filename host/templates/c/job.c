// The functions that wit/world.wit exports.
#include <stdio.h>
#include <string.h>

#include "bindings/plugin.h"

// Logs a line without fields.
static void say(clockjack_job_log_level_t level, const char *message) {
  plugin_string_t text;
  plugin_string_set(&text, message);
  plugin_list_tuple2_string_string_t no_fields = {NULL, 0};
  clockjack_job_log_log(level, &text, &no_fields);
}

// Says hello. `false` would be a failure, which `err` explains.
bool exports_plugin_hello(plugin_string_t *name, plugin_string_t *ret, plugin_failure_t *err) {
  char text[256];
  if (sizeof text / 2 < name->len) {
    err->tag = CLOCKJACK_JOB_TYPES_FAILURE_PERMANENT;
    plugin_string_dup(&err->val.permanent, "nobody has such a long name");
    return false;
  }
  snprintf(text, sizeof text, "greeting %.*s", (int)name->len, (const char *)name->ptr);
  say(CLOCKJACK_JOB_LOG_LEVEL_INFO, text);
  snprintf(text, sizeof text, "hello %.*s", (int)name->len, (const char *)name->ptr);
  plugin_string_dup(ret, text);
  return true;
}
