// A reader of DER that trusts nothing: every length is checked against what is left, and nothing is allocated.
#include "certificate.h"

#include <string.h>

// What is left to read.
typedef struct {
  const uint8_t *at;
  size_t left;
} input_t;

enum tag {
  VERSION = 0xa0,
  INTEGER = 0x02,
  OBJECT_IDENTIFIER = 0x06,
  UTC_TIME = 0x17,
  GENERALIZED_TIME = 0x18,
  SEQUENCE = 0x30,
  SET = 0x31,
};

// Takes the next element, whatever its tag.
static bool next(input_t *input, uint8_t *tag, input_t *content) {
  if (input->left < 2) return false;
  *tag = input->at[0];
  size_t len = input->at[1], head = 2;
  if (len & 0x80) {
    size_t n_bytes = len & 0x7f;
    if (n_bytes == 0 || 4 < n_bytes || input->left < 2 + n_bytes) return false;
    len = 0;
    for (size_t i = 0; i < n_bytes; i++) len = len << 8 | input->at[2 + i];
    head += n_bytes;
  }
  if (input->left - head < len) return false;
  *content = (input_t){input->at + head, len};
  input->at += head + len;
  input->left -= head + len;
  return true;
}

// Takes the next element if it has this tag.
static bool expect(input_t *input, uint8_t wanted, input_t *content) {
  input_t before = *input;
  uint8_t tag;
  if (next(input, &tag, content) && tag == wanted) return true;
  *input = before;
  return false;
}

static bool number(const uint8_t *text, size_t n_digits, unsigned *value) {
  *value = 0;
  for (size_t i = 0; i < n_digits; i++) {
    if (text[i] < '0' || '9' < text[i]) return false;
    *value = *value * 10 + (text[i] - '0');
  }
  return true;
}

// Days from 1970-01-01 in the Gregorian calendar; years count from March, so that the leap day comes last.
static int64_t days_since_1970(int64_t year, unsigned month, unsigned day) {
  year -= month <= 2;
  int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
  return year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719468;
}

// `YYMMDDhhmmssZ` up to 2049, `YYYYMMDDhhmmssZ` from then on: RFC 5280 allows no other forms.
static bool instant(input_t *validity, uint64_t *millis) {
  uint8_t tag;
  input_t text;
  if (!next(validity, &tag, &text)) return false;
  size_t n_digits = tag == UTC_TIME ? 2 : 4;
  bool of_time = tag == UTC_TIME || tag == GENERALIZED_TIME;
  if (!of_time || text.left != n_digits + 11 || text.at[n_digits + 10] != 'Z') return false;
  unsigned year, field[5];
  if (!number(text.at, n_digits, &year)) return false;
  if (tag == UTC_TIME) year += year < 50 ? 2000 : 1900;
  for (size_t i = 0; i < 5; i++)
    if (!number(text.at + n_digits + 2 * i, 2, &field[i])) return false;
  if (field[0] < 1 || 12 < field[0] || field[1] < 1 || 31 < field[1] || year < 1970) return false;
  int64_t seconds = days_since_1970(year, field[0], field[1]) * 86400 + field[2] * 3600 + field[3] * 60 + field[4];
  *millis = (uint64_t)seconds * 1000;
  return true;
}

// A name is a sequence of sets of (attribute, text); 2.5.4.3 is the common name.
static void find_common_name(input_t name, certificate_t *certificate) {
  static const uint8_t common_name[] = {0x55, 0x04, 0x03};
  input_t set, pair, attribute, text;
  uint8_t tag;
  while (expect(&name, SET, &set))
    while (expect(&set, SEQUENCE, &pair))
      if (expect(&pair, OBJECT_IDENTIFIER, &attribute) && attribute.left == sizeof common_name &&
          memcmp(attribute.at, common_name, sizeof common_name) == 0 && next(&pair, &tag, &text)) {
        certificate->subject = text.at;
        certificate->subject_len = text.left;
      }
}

static const char *read_der(input_t file, certificate_t *certificate) {
  input_t whole, signed_part, skipped, validity, subject;
  if (!expect(&file, SEQUENCE, &whole)) return "neither PEM nor DER";
  if (!expect(&whole, SEQUENCE, &signed_part)) return "not a certificate";
  expect(&signed_part, VERSION, &skipped);
  bool begins_well = expect(&signed_part, INTEGER, &skipped)      // serial number
                     && expect(&signed_part, SEQUENCE, &skipped)  // algorithm
                     && expect(&signed_part, SEQUENCE, &skipped)  // issuer
                     && expect(&signed_part, SEQUENCE, &validity) && expect(&signed_part, SEQUENCE, &subject);
  if (!begins_well) return "not a certificate";
  if (!instant(&validity, &certificate->not_before) || !instant(&validity, &certificate->not_after))
    return "its validity cannot be read";
  find_common_name(subject, certificate);
  return NULL;
}

static int base64_value(uint8_t letter) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *found = letter ? strchr(alphabet, letter) : NULL;
  return found ? (int)(found - alphabet) : -1;
}

// Where a text begins, or NULL.
static uint8_t *find(uint8_t *bytes, size_t len, const char *text) {
  size_t text_len = strlen(text);
  for (size_t i = 0; i + text_len <= len; i++)
    if (memcmp(bytes + i, text, text_len) == 0) return bytes + i;
  return NULL;
}

const char *certificate_read(uint8_t *bytes, size_t len, certificate_t *certificate) {
  static const char header[] = "-----BEGIN CERTIFICATE-----";
  *certificate = (certificate_t){0};
  uint8_t *begin = find(bytes, len, header);
  if (!begin) return read_der((input_t){bytes, len}, certificate);
  begin += sizeof header - 1;
  uint8_t *end = find(begin, len - (size_t)(begin - bytes), "-----END");
  if (!end) return "its end is missing";

  uint8_t *out = begin;
  uint32_t bits = 0;
  unsigned n_bits = 0;
  for (uint8_t *in = begin; in < end; in++) {
    int value = base64_value(*in);
    if (value < 0 && (!*in || !strchr("\r\n \t=", *in))) return "it is not base64";
    if (value < 0) continue;
    bits = bits << 6 | (uint32_t)value;
    n_bits += 6;
    if (8 <= n_bits) {
      n_bits -= 8;
      *out++ = (uint8_t)(bits >> n_bits);
    }
  }
  return read_der((input_t){begin, (size_t)(out - begin)}, certificate);
}
