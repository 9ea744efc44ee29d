// Values that outlive a run, as JSON under keys. What is written is kept when the run succeeds, and dropped when it fails.
import { get, set } from "clockjack:job/state@0.1.0";

const toBytes = (text) => Uint8Array.from(unescape(encodeURIComponent(text)), (character) => character.charCodeAt(0));
const toText = (bytes) => decodeURIComponent(escape(String.fromCharCode(...bytes)));

export function recall(key) {
  const entry = get(key);
  return entry === null ? null : JSON.parse(toText(entry.value));
}

export function remember(key, value) {
  set(key, toBytes(JSON.stringify(value)));
}
