// The world `certificates` in TypeScript: what the component imports, and what it exports.

declare module "clockjack:job/log@0.1.0" {
  export type Level = "trace" | "debug" | "info" | "warn" | "error";
  export function log(level: Level, message: string, fields: [string, string][]): void;
}

declare module "clockjack:job/run@0.1.0" {
  /** Milliseconds since 1970; all other members of the record are in wit/types.wit. */
  export function context(): { runId: string; job: string; attempt: number; scheduledFor: number; timeZone: string };
  export function randomSeed(): number;
}

declare module "wasi:filesystem/preopens@0.2.0" {
  interface Descriptor {
    openAt(how: { symlinkFollow?: boolean }, path: string, open: {}, flags: { read?: boolean }): Descriptor;
    read(length: number, offset: number): [Uint8Array, boolean];
  }
  export function getDirectories(): [Descriptor, string][];
}

interface Certificate {
  file: string;
  subject: string;
  expires: number;
  daysLeft: number;
  state: "fine" | "expiring" | "expired";
}

interface World {
  checkExpiry(files: string[], warnDays: number, at: number | null): Certificate[];
  hello(name: string): string;
}
