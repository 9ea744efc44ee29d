// Reads the few facts of an X.509 certificate that tell how long it is valid. Knows nothing of files or of the host.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  // Milliseconds since 1970-01-01T00:00:00Z.
  uint64_t not_before, not_after;
  // The common name of the subject inside the bytes that were read, or NULL.
  const uint8_t *subject;
  size_t subject_len;
} certificate_t;

// The certificate of a DER file, or the first one of a PEM file, which is decoded in place. Gives NULL, or what is wrong.
const char *certificate_read(uint8_t *bytes, size_t len, certificate_t *certificate);
