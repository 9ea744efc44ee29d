// Reading files: QuickJS has none of its own, and WASI's are there for whoever imports them.
import { getDirectories } from "wasi:filesystem/preopens@0.2.0";
import { permanent } from "./clockjack.js";

const CHUNK_BYTES = 64 * 1024;

// The bytes of a file below one of the granted folders.
export function readBytes(path) {
  const folder = getDirectories().find(([, name]) => path.startsWith(`${name.replace(/\/$/, "")}/`));
  if (!folder) throw permanent(`${path}: no granted folder holds it; add one to grants.dirs`);
  const [descriptor, name] = folder;
  const below = path.slice(name.replace(/\/$/, "").length + 1);
  let file;
  try {
    file = descriptor.openAt({ symlinkFollow: true }, below, {}, { read: true });
  } catch (error) {
    throw permanent(`cannot read ${path}: ${error.message}`);
  }
  const bytes = [];
  for (;;) {
    const [chunk, isEnd] = file.read(CHUNK_BYTES, bytes.length);
    for (const byte of chunk) bytes.push(byte);
    if (isEnd || chunk.length === 0) return Uint8Array.from(bytes);
  }
}

// The text of a file in UTF-8. QuickJS has no TextDecoder.
export function readText(path) {
  const bytes = readBytes(path);
  let escaped = "";
  for (const byte of bytes) escaped += `%${byte.toString(16).padStart(2, "0")}`;
  try {
    return decodeURIComponent(escaped);
  } catch {
    throw permanent(`${path} is not text in UTF-8`);
  }
}
