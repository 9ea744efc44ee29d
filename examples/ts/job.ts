// The exports of the world `certificates`.
import { context } from "clockjack:job/run@0.1.0";
import { job, permanent } from "../js/clockjack.js";
import { readText } from "../js/files.js";
import { fromPem } from "./x509.js";

const DAY_MILLIS = 24 * 60 * 60 * 1000;

export const checkExpiry: World["checkExpiry"] = job((files, warnDays, at) => {
  const now = at ?? context().scheduledFor;
  const all = files.flatMap((file) => {
    const found = fromPem(readText(file));
    if (found.length === 0) throw permanent(`${file} holds no certificate`);
    return found.map((facts) => judge(file, facts.subject, facts.notAfter, now, warnDays));
  });
  for (const { subject, daysLeft, file } of all.filter(({ state }) => state === "expiring")) {
    console.warn(`${subject} expires in ${daysLeft} days`, { file });
  }
  const expired = all.filter(({ state }) => state === "expired");
  if (expired.length > 0) {
    throw permanent(expired.map(({ subject, daysLeft }) => `${subject} expired ${-daysLeft} days ago`).join(", "));
  }
  console.info(`${all.length} certificates in ${files.length} files`);
  return all.sort((a, b) => a.expires - b.expires);
});

function judge(file: string, subject: string, expires: number, now: number, warnDays: number): Certificate {
  const daysLeft = Math.floor((expires - now) / DAY_MILLIS);
  const state = expires < now ? "expired" : daysLeft < warnDays ? "expiring" : "fine";
  return { file, subject, expires, daysLeft, state };
}

export const hello: World["hello"] = job((name) => {
  console.info("saying hello", { name });
  return `hello ${name}, from TypeScript`;
});
