// Types of files.js, for editors and TypeScript.

export function readBytes(path: string): Uint8Array;
export function readText(path: string): string;
