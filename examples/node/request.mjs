// Send a request by HTTP, and print its answer: TOKEN=... node request.mjs URL SERVICE SUBJECT CONTENT
// Node.js 18 or later, no dependency. URL is http/endpoint of the broker, such as http://127.0.0.1:9998

const [url, service, subject, content] = process.argv.slice(2);
if (content === undefined || !process.env.TOKEN) {
  console.error("TOKEN=... node request.mjs URL SERVICE SUBJECT CONTENT");
  process.exit(2);
}
const path = `/api/v1/services/${encodeURIComponent(service)}/${encodeURIComponent(subject)}?wait=10`;
const answer = await fetch(new URL(path, url), {
  method: "POST",
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
  body: content,
});

if (answer.status === 200) {
  console.log(await answer.text());
} else if (answer.status === 202) {
  // It goes on; /api/v1/requests/TRACKER/reply has the answer when it has ended.
  console.log("not done yet:", (await answer.json()).tracker);
} else if (answer.status !== 204) {
  const problem = await answer.json();
  console.error(`${problem.title}: ${problem.detail ?? ""}`);
  process.exitCode = 1;
}
