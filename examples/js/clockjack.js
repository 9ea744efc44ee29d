// What a job in JavaScript wants beside the language. QuickJS has no console; it starts each instance from one snapshot,
// so that its random numbers are always the same; and an error that WIT does not know ends the instance in a trap.
import { log } from "clockjack:job/log@0.1.0";
import { randomSeed } from "clockjack:job/run@0.1.0";

const isFields = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const shown = (value) => (typeof value === "string" ? value : value instanceof Error ? String(value) : JSON.stringify(value));

// Texts and values make the message; an object at the end makes the fields.
const writer = (level) => (...parts) => {
  const fields = parts.length > 1 && isFields(parts.at(-1)) && !(parts.at(-1) instanceof Error) ? parts.pop() : {};
  log(level, parts.map(shown).join(" "), Object.entries(fields).map(([key, value]) => [key, shown(value)]));
};

globalThis.console = {
  trace: writer("trace"),
  debug: writer("debug"),
  log: writer("info"),
  info: writer("info"),
  warn: writer("warn"),
  error: writer("error"),
};

// xorshift32, begun anew by the host's seed. For shuffling and jitter, not for keys.
function reseed() {
  const seed = randomSeed();
  let state = ((seed % 2 ** 32) ^ (seed / 2 ** 32)) >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  Math.random = next;
}

// What a job throws to say what should happen next.
export class Failure extends Error {
  constructor(tag, val, message) {
    super(message);
    this.failure = { tag, val };
  }
}
export const permanent = (message) => new Failure("permanent", message, message);
export const retry = (message) => new Failure("retry", message, message);
export const retryAfter = (millis, message) => new Failure("retry-after", [millis, message], message);
export const skipped = (message) => new Failure("skipped", message, message);

// Makes a function an export of a world: fresh random numbers, and every error a value of `failure`. An error that says
// nothing about what should happen next is tried again as the job's retry policy says.
export const job = (work) => (...args) => {
  reseed();
  try {
    return work(...args);
  } catch (error) {
    if (error instanceof Failure) throw error.failure;
    console.error(error?.stack ?? "thrown without a stack");
    throw { tag: "retry", val: String(error) };
  }
};
