// The exported functions, and all that speaks with the host or with the file system.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bindings/jobs.h"
#include "certificate.h"

enum { CERTIFICATES_MAX = 1000, FILE_BYTES_MAX = 64 * 1024, TEXT_MAX = 512 };
static const uint64_t DAY = 24 * 60 * 60 * 1000;

typedef const char *field_t[2];

// Logs a message with up to two fields: a name and a value each.
static void say(clockjack_job_log_level_t level, const char *message, size_t n_fields, const field_t fields[]) {
  jobs_string_t text;
  jobs_tuple2_string_string_t pairs[2];
  jobs_string_set(&text, message);
  for (size_t i = 0; i < n_fields; i++) {
    jobs_string_set(&pairs[i].f0, fields[i][0]);
    jobs_string_set(&pairs[i].f1, fields[i][1]);
  }
  clockjack_job_log_log(level, &text, &(jobs_list_tuple2_string_string_t){pairs, n_fields});
}

// A text of the host as one of C.
static void terminated(const jobs_string_t *text, char *into) {
  snprintf(into, TEXT_MAX, "%.*s", (int)text->len, (const char *)text->ptr);
}

void exports_jobs_hello(jobs_string_t *name, jobs_string_t *ret) {
  char who[TEXT_MAX], greeting[TEXT_MAX + 32];
  terminated(name, who);
  say(CLOCKJACK_JOB_LOG_LEVEL_INFO, "saying hello", 1, (field_t[]){{"name", who}});
  snprintf(greeting, sizeof greeting, "hello %s, from C", who);
  jobs_string_dup(ret, greeting);
}

// Ends the job: `retry` or `permanent`, and why.
static bool fail(jobs_failure_t *err, uint8_t tag, const char *file, const char *why) {
  char text[2 * TEXT_MAX];
  snprintf(text, sizeof text, "%s: %s", file, why);
  err->tag = tag;
  jobs_string_dup(tag == CLOCKJACK_JOB_TYPES_FAILURE_RETRY ? &err->val.retry : &err->val.permanent, text);
  return false;
}

static bool is_certificate(const char *file) {
  const char *ending = strrchr(file, '.');
  return ending && (strcmp(ending, ".pem") == 0 || strcmp(ending, ".der") == 0);
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

// The names of the certificates of a folder, in order; NULL, and `errno`, where it cannot be read. Not `scandir`: that of
// newer versions of wasi-libc wants to look at the folder above, too.
static char **list(const char *dir, size_t *n) {
  static char *names[CERTIFICATES_MAX];
  DIR *entries = opendir(dir);
  if (!entries) return NULL;
  *n = 0;
  errno = 0;
  for (struct dirent *entry; errno == 0 && (entry = readdir(entries));)
    if (is_certificate(entry->d_name)) {
      if (*n == CERTIFICATES_MAX) errno = EFBIG;
      else names[(*n)++] = strdup(entry->d_name);
    }
  closedir(entries);
  qsort(names, *n, sizeof *names, compare);
  return errno ? NULL : names;
}

static jobs_standing_t standing_of(const certificate_t *certificate, uint64_t as_of, uint32_t warn_days) {
  if (as_of < certificate->not_before) return JOBS_STANDING_NOT_YET_VALID;
  if (certificate->not_after <= as_of) return JOBS_STANDING_EXPIRED;
  return certificate->not_after - as_of < warn_days * DAY ? JOBS_STANDING_EXPIRING : JOBS_STANDING_VALID;
}

// Reads one file into the next place of the list.
static bool read_one(const char *dir, const char *file, uint64_t as_of, uint32_t warn_days, jobs_certificate_t *one,
                     jobs_failure_t *err) {
  static uint8_t bytes[FILE_BYTES_MAX];
  char path[2 * TEXT_MAX];
  snprintf(path, sizeof path, "%s/%s", dir, file);
  FILE *in = fopen(path, "rb");
  if (!in) return fail(err, CLOCKJACK_JOB_TYPES_FAILURE_PERMANENT, file, strerror(errno));
  size_t len = fread(bytes, 1, sizeof bytes, in);
  fclose(in);
  if (len == 0) return fail(err, CLOCKJACK_JOB_TYPES_FAILURE_RETRY, file, "it is empty: is it still being written?");

  certificate_t certificate;
  const char *wrong = certificate_read(bytes, len, &certificate);
  if (wrong) return fail(err, CLOCKJACK_JOB_TYPES_FAILURE_PERMANENT, file, wrong);
  int64_t left = (int64_t)certificate.not_after - (int64_t)as_of;
  *one = (jobs_certificate_t){
      .not_before = certificate.not_before,
      .not_after = certificate.not_after,
      .days_left = (int32_t)(left < 0 ? -((-left + (int64_t)DAY - 1) / (int64_t)DAY) : left / (int64_t)DAY),
      .standing = standing_of(&certificate, as_of, warn_days),
  };
  jobs_string_dup(&one->file, file);
  one->subject.is_some = certificate.subject != NULL;
  if (one->subject.is_some)
    jobs_string_dup_n(&one->subject.val, (const char *)certificate.subject, certificate.subject_len);
  return true;
}

// Logs a certificate that somebody should look at. Whether it is one that the alarm is for.
static bool raises(const jobs_certificate_t *one, jobs_alarm_t alarm) {
  char file[TEXT_MAX], days[16];
  terminated(&one->file, file);
  snprintf(days, sizeof days, "%d", one->days_left);
  const field_t fields[] = {{"file", file}, {"days-left", days}};
  switch (one->standing) {
    case JOBS_STANDING_EXPIRED:
      say(CLOCKJACK_JOB_LOG_LEVEL_ERROR, "a certificate has expired", 2, fields);
      return alarm != JOBS_ALARM_NEVER;
    case JOBS_STANDING_EXPIRING:
      say(CLOCKJACK_JOB_LOG_LEVEL_WARN, "a certificate expires soon", 2, fields);
      return alarm == JOBS_ALARM_EXPIRING;
    default:
      return false;
  }
}

// Ends the job because of a certificate.
static bool raise_alarm(const jobs_certificate_t *culprit, jobs_failure_t *err) {
  char file[TEXT_MAX], why[64];
  terminated(&culprit->file, file);
  bool is_over = culprit->standing == JOBS_STANDING_EXPIRED;
  snprintf(why, sizeof why, is_over ? "expired %d days ago" : "expires in %d days", abs(culprit->days_left));
  return fail(err, CLOCKJACK_JOB_TYPES_FAILURE_PERMANENT, file, why);
}

bool exports_jobs_check(jobs_string_t *dir, uint32_t warn_days, jobs_alarm_t alarm, jobs_instant_t *maybe_as_of,
                        jobs_list_certificate_t *ret, jobs_failure_t *err) {
  char folder[TEXT_MAX];
  terminated(dir, folder);
  clockjack_job_run_attempt_context_t context;
  clockjack_job_run_context(&context);
  uint64_t as_of = maybe_as_of ? *maybe_as_of : context.scheduled_for;

  size_t n;
  char **files = list(folder, &n);
  if (!files) return fail(err, CLOCKJACK_JOB_TYPES_FAILURE_PERMANENT, folder, strerror(errno));
  *ret = (jobs_list_certificate_t){calloc(n ? n : 1, sizeof(jobs_certificate_t)), 0};
  const jobs_certificate_t *culprit = NULL;
  for (size_t i = 0; i < n; i++) {
    jobs_certificate_t *one = &ret->ptr[ret->len];
    if (!read_one(folder, files[i], as_of, warn_days, one, err)) return false;
    ret->len++;
    if (raises(one, alarm) && !culprit) culprit = one;
  }
  char count[16];
  snprintf(count, sizeof count, "%zu", n);
  say(CLOCKJACK_JOB_LOG_LEVEL_INFO, "certificates read", 1, (field_t[]){{"count", count}});
  return culprit ? raise_alarm(culprit, err) : true;
}
