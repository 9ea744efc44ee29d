// wit/world.wit in TypeScript: what the component imports, and what it exports. Numbers of 64 bits are numbers here, exact
// up to 2^53; lists of bytes are Uint8Array; `result` is the value, or what is thrown.

declare module "clockjack:job/log@0.1.0" {
  export type Level = "trace" | "debug" | "info" | "warn" | "error";
  export function log(level: Level, message: string, fields: [string, string][]): void;
}

declare module "clockjack:job/run@0.1.0" {
  /** Milliseconds since 1970; all members of the record are in wit/deps/clockjack/types.wit. */
  export function context(): { runId: string; job: string; attempt: number; scheduledFor: number; timeZone: string };
  export function randomSeed(): number;
}

interface World {
  hello(name: string): string;
}
