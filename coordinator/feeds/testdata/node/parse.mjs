// Reads the feeds at the addresses with three parsers, and fails if one refuses a feed or reads something else.
import Parser from "rss-parser";
import {parseFeed} from "feedsmith";
import {parseFeed as parseStrictly} from "@rowanmanning/feed-parser";

let checked = 0;
const check = (ok, what) => {
  checked++;
  if (!ok) {
    console.error("not so: " + what);
    process.exitCode = 1;
  }
};
for (const address of process.argv.slice(2)) {
  const answer = await fetch(address);
  const text = await answer.text();
  const origin = new URL(address).origin;
  check(answer.status === 200, address + " is answered");

  const {format, feed} = parseFeed(text);
  check(format === address.split(".").pop(), address + " is " + format);
  const items = feed.items || feed.entries;
  check(items.length > 0 && items.length <= 50, address + " has entries");

  if (format !== "json") {
    const read = await new Parser().parseString(text);
    check(read.items.length === items.length, address + ": rss-parser reads as many");
    for (const item of read.items) {
      check(item.title && item.link.startsWith(origin + "/posts/"), address + ": a link of rss-parser's");
      check((item.guid || item.id).startsWith("urn:uuid:"), address + ": an id of rss-parser's");
      check(!isNaN(Date.parse(item.isoDate)), address + ": a date of rss-parser's");
      check(!/<script/i.test(item.content), address + ": no script");
    }
    const strict = parseStrictly(text);
    check(strict.items.length === items.length, address + ": feed-parser reads as many");
    check(strict.self === address, address + " names itself");
    for (const item of strict.items) {
      check(item.published instanceof Date && item.url.startsWith(origin), address + ": feed-parser reads an entry");
    }
  } else {
    for (const item of items) {
      check(item.id.startsWith("urn:uuid:") && item.url.startsWith(origin) && item.content_html, address + ": an entry");
      check(!isNaN(Date.parse(item.date_published)), address + ": a date");
    }
  }
}
if (checked < 100) {
  console.error("only " + checked + " checks");
  process.exitCode = 1;
}
