// RSS 2.0 and Atom, as far as a job needs them: title, link and date of each item.
import { permanent } from "./clockjack.js";

const NAMED = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function plain(text) {
  const cdata = /^\s*<!\[CDATA\[([\s\S]*?)\]\]>\s*$/.exec(text);
  if (cdata) return cdata[1].trim();
  const character = (code, whole) => (code <= 0x10ffff ? String.fromCodePoint(code) : whole);
  return text
    .replace(/<[^>]*>/g, "")
    .replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) =>
      hex ? character(parseInt(hex, 16), whole) : decimal ? character(Number(decimal), whole) : (NAMED[name] ?? whole),
    )
    .trim();
}

function element(xml, ...names) {
  for (const name of names) {
    const found = new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`, "i").exec(xml);
    if (found) return plain(found[1]);
  }
  return null;
}

// The items of a feed, the newest first. What has no date is left out, with a warning.
export function parseFeed(xml) {
  const kind = /<(rss|feed)[\s>]/i.exec(xml)?.[1].toLowerCase();
  if (!kind) throw permanent("this is neither RSS nor Atom");
  const parts = xml.match(kind === "rss" ? /<item[\s>][\s\S]*?<\/item>/gi : /<entry[\s>][\s\S]*?<\/entry>/gi) ?? [];
  const items = [];
  for (const part of parts) {
    const title = element(part, "title") ?? "(no title)";
    const link = element(part, "link") || /<link[^>]*\shref="([^"]*)"/i.exec(part)?.[1] || null;
    const published = Date.parse(element(part, "pubDate", "published", "updated", "dc:date") ?? "");
    if (Number.isNaN(published)) console.warn("an item without a date is left out", { title });
    else items.push({ title, link: link && plain(link), published });
  }
  return items.sort((a, b) => b.published - a.published);
}
