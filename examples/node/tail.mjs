// Print the next records of a stream: TOKEN=... node tail.mjs URL STREAM COUNT
// Node.js 18 or later, no dependency. It reads the server-sent events from the oldest record on.

const [url, stream, count] = process.argv.slice(2);
if (count === undefined) {
  console.error("TOKEN=... node tail.mjs URL STREAM COUNT");
  process.exit(2);
}
const answer = await fetch(new URL(`/api/v1/streams/${encodeURIComponent(stream)}?from=start`, url), {
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
});
if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);

let left = Number(count);
let text = "";
for await (const octets of answer.body.pipeThrough(new TextDecoderStream())) {
  text += octets;
  // An event ends with an empty line; lines with a colon in front are comments.
  for (let end = text.indexOf("\n\n"); end >= 0 && left > 0; end = text.indexOf("\n\n")) {
    const data = text.slice(0, end).split("\n").find((line) => line.startsWith("data: "));
    text = text.slice(end + 2);
    if (data === undefined) continue;
    const record = JSON.parse(data.slice(6));
    console.log(record.position, record.subject, record.content.join(" "));
    left -= 1;
  }
  if (left <= 0) break;
}
