// Types of clockjack.js, for editors and TypeScript.

type Write = (...parts: unknown[]) => void;

declare global {
  /** Goes to the log of the run; a plain object at the end makes the fields of the line. */
  var console: { trace: Write; debug: Write; log: Write; info: Write; warn: Write; error: Write };
}

/** What a job throws to say what should happen next. */
export class Failure extends Error {}
export function permanent(message: string): Failure;
export function retry(message: string): Failure;
export function retryAfter(millis: number, message: string): Failure;
export function skipped(message: string): Failure;

/** Makes a function an export of a world. */
export function job<A extends unknown[], R>(work: (...args: A) => R): (...args: A) => R;
