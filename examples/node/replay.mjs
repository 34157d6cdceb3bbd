// Reads again what the department was told: node examples/node/replay.mjs 2026-03-01T00:00:00+08:00

import { connected, department } from "./bus.mjs";

const client = await connected();
const question = { since: process.argv[2] };
for (let more = true; more; ) {
  const reply = await client.request(`ask.${department}.replay`, JSON.stringify(question), { timeout: 10_000 });
  const page = reply.json();
  if (!page.ok) throw new Error(page.error.reason);
  for (const { position, event } of page.events) console.log(position, event.type, event.subject);
  question.after = page.after;
  more = page.more;
}
await client.close();
