// Was it too warm for too long? An ordinary program that knows nothing of Clockjack.
//
//   cold-chain MAX MINUTES [FILE]
//
// Reads lines of `minute sensor degrees` from FILE or standard input, and `#` comments. A reading counts for the minutes
// until the next one of the same sensor. Exit codes: 0 when no sensor was above MAX for more than MINUTES, 1 when one
// was, 65 when a line cannot be understood, 75 when there are no readings yet. The facts go to /out/result.json.
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOO_WARM = 1, USAGE = 64, BAD_DATA = 65, CANNOT_WRITE = 73, TRY_LATER = 75 };
enum { SENSORS_MAX = 16, NAME_MAX_LEN = 31 };

typedef struct {
  char name[NAME_MAX_LEN + 1];
  long last_minute, minutes_above, n_readings;
  double last, highest;
} sensor_t;

static sensor_t sensors[SENSORS_MAX];
static int n_sensors;

static sensor_t *sensor(const char *name) {
  for (int i = 0; i < n_sensors; i++)
    if (strcmp(sensors[i].name, name) == 0) return &sensors[i];
  if (n_sensors == SENSORS_MAX) return NULL;
  sensor_t *added = &sensors[n_sensors++];
  strcpy(added->name, name);
  return added;
}

// Takes one line; gives NULL, or what is wrong with it.
static const char *take(const char *line, double max) {
  long minute;
  char name[NAME_MAX_LEN + 1];
  double degrees;
  if (line[strspn(line, " \t\r\n")] == '\0' || line[0] == '#') return NULL;
  if (sscanf(line, "%ld %31[a-z0-9-] %lf", &minute, name, &degrees) != 3) return "not `minute sensor degrees`";
  sensor_t *one = sensor(name);
  if (!one) return "more sensors than there is room for";
  if (one->n_readings && minute < one->last_minute) return "minutes go backwards";
  if (one->n_readings && max < one->last) one->minutes_above += minute - one->last_minute;
  if (!one->n_readings || one->highest < degrees) one->highest = degrees;
  one->n_readings++;
  one->last_minute = minute;
  one->last = degrees;
  return NULL;
}

static bool write_result(double max, long minutes) {
  FILE *out = fopen("/out/result.json", "w");
  if (!out) return false;
  fprintf(out, "{\"max\": %.1f, \"minutes\": %ld, \"sensors\": [", max, minutes);
  for (int i = 0; i < n_sensors; i++)
    fprintf(out, "%s{\"name\": \"%s\", \"readings\": %ld, \"highest\": %.1f, \"minutes_above\": %ld}", i ? ", " : "",
            sensors[i].name, sensors[i].n_readings, sensors[i].highest, sensors[i].minutes_above);
  fputs("]}\n", out);
  return fclose(out) == 0;
}

static bool number(const char *text, double *value) {
  char *end;
  *value = strtod(text, &end);
  return end != text && *end == '\0';
}

int main(int argc, char **argv) {
  double max, minutes;
  if (argc < 3 || 4 < argc || !number(argv[1], &max) || !number(argv[2], &minutes)) {
    fputs("usage: cold-chain MAX MINUTES [FILE]\n", stderr);
    return USAGE;
  }
  FILE *in = argc == 4 ? fopen(argv[3], "r") : stdin;
  if (!in) {
    fprintf(stderr, "cold-chain: %s: %s\n", argv[3], strerror(errno));
    return errno == ENOENT ? TRY_LATER : USAGE;
  }
  char line[256];
  for (long n = 1; fgets(line, sizeof line, in); n++) {
    const char *wrong = take(line, max);
    if (wrong) {
      fprintf(stderr, "cold-chain: line %ld: %s\n", n, wrong);
      return BAD_DATA;
    }
  }
  if (n_sensors == 0) {
    fputs("cold-chain: no readings yet\n", stderr);
    return TRY_LATER;
  }
  if (!write_result(max, (long)minutes)) {
    perror("cold-chain: /out/result.json");
    return CANNOT_WRITE;
  }
  int code = 0;
  for (int i = 0; i < n_sensors; i++) {
    const sensor_t *one = &sensors[i];
    printf("%s: %ld readings, highest %.1f, above %.1f for %ld minutes\n", one->name, one->n_readings, one->highest, max,
           one->minutes_above);
    if ((long)minutes < one->minutes_above) code = TOO_WARM;
  }
  if (code == TOO_WARM) fprintf(stderr, "cold-chain: above %.1f for more than %ld minutes\n", max, (long)minutes);
  return code;
}
