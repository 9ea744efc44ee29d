// The three facts of a certificate that its expiry needs, out of its DER. Nothing is verified.
import { permanent } from "../js/clockjack.js";

export interface Facts {
  subject: string;
  notBefore: number;
  notAfter: number;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function fromBase64(text: string): Uint8Array {
  const bytes: number[] = [];
  let [bits, nBits] = [0, 0];
  for (const character of text.replace(/[\s=]/g, "")) {
    const value = ALPHABET.indexOf(character);
    if (value < 0) throw permanent(`\`${character}\` does not stand in base64`);
    bits = ((bits << 6) | value) & 0xffff;
    nBits += 6;
    if (nBits >= 8) bytes.push((bits >> (nBits -= 8)) & 0xff);
  }
  return Uint8Array.from(bytes);
}

/** The certificates of a PEM file, in its order. */
export function fromPem(text: string): Facts[] {
  const blocks = text.matchAll(/-----BEGIN CERTIFICATE-----([\s\S]*?)-----END CERTIFICATE-----/g);
  return [...blocks].map(([, base64]) => facts(fromBase64(base64 ?? "")));
}

interface Element {
  tag: number;
  body: Uint8Array;
}

const [INTEGER, OBJECT_ID, UTC_TIME, VERSION] = [0x02, 0x06, 0x17, 0xa0];

function elements(bytes: Uint8Array): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1] ?? 0;
    at += 2;
    if (length & 0x80) {
      const nBytes = length & 0x7f;
      length = bytes.subarray(at, at + nBytes).reduce((sum, byte) => sum * 256 + byte, 0);
      at += nBytes;
    }
    if (at + length > bytes.length) throw permanent("the certificate is cut off");
    found.push({ tag, body: bytes.subarray(at, at + length) });
    at += length;
  }
  return found;
}

function facts(der: Uint8Array): Facts {
  const tbs = elements(elements(elements(der)[0]?.body ?? der)[0]?.body ?? der);
  const rest = tbs[0]?.tag === VERSION ? tbs.slice(1) : tbs;
  const [serial, , , validity, subject] = rest;
  if (serial?.tag !== INTEGER || !validity || !subject) throw permanent("this is no X.509 certificate");
  const [notBefore, notAfter] = elements(validity.body).map(time);
  if (notBefore === undefined || notAfter === undefined) throw permanent("the certificate has no validity");
  return { subject: commonName(subject.body), notBefore, notAfter };
}

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** `260901000000Z`, where 50 and above is the last century, or `20540101120000Z`. */
function time({ tag, body }: Element): number {
  const text = latin1(body);
  const year = Number(text.slice(0, 2));
  const full = tag === UTC_TIME ? `${year < 50 ? 20 : 19}${text}` : text;
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full) ?? [];
  const [y, month, d, h, min, s] = parts.map(Number);
  if (y === undefined || month === undefined) throw permanent(`\`${text}\` is no time of a certificate`);
  return Date.UTC(y, month - 1, d, h, min, s);
}

function commonName(name: Uint8Array): string {
  for (const set of elements(name)) {
    for (const pair of elements(set.body)) {
      const [id, value] = elements(pair.body);
      if (id?.tag === OBJECT_ID && id.body.join(".") === "85.4.3" && value) return latin1(value.body);
    }
  }
  return "(no common name)";
}
