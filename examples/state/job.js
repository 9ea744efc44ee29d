// The export of the world `watch`.
import { job } from "../js/clockjack.js";
import { readText } from "../js/files.js";
import { parseFeed } from "../js/feed.js";
import { recall, remember } from "./state.js";

export const watch = job((feeds) => {
  const fresh = feeds.flatMap((feed) => {
    const items = parseFeed(readText(feed));
    const last = recall(feed);
    const newer = items.filter((item) => item.published > (last?.published ?? 0));
    if (newer.length > 0) remember(feed, { published: newer[0].published, title: newer[0].title });
    console.info(`${newer.length} of ${items.length} items are new`, { feed, last: last?.title ?? "never looked" });
    return newer.map(({ title, published }) => ({ feed, title, published }));
  });
  return fresh.sort((a, b) => a.published - b.published);
});
