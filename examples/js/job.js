// The exports of the world `feed`.
import { job } from "./clockjack.js";
import { readText } from "./files.js";
import { parseFeed } from "./feed.js";

export const newItems = job((feed, since, max) => {
  const items = parseFeed(readText(feed));
  const fresh = items.filter((item) => item.published > since);
  console.info(`${fresh.length} of ${items.length} items are new`, { feed, since: new Date(since).toISOString() });
  return fresh.slice(0, max ?? fresh.length);
});

export const readingList = job((feed) => {
  const titles = parseFeed(readText(feed)).map((item) => item.title);
  for (let i = titles.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [titles[i], titles[j]] = [titles[j], titles[i]];
  }
  return titles;
});

export const hello = job((name) => {
  console.info("saying hello", { name });
  return `hello ${name}, from JavaScript`;
});
