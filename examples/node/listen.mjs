// Hears what concerns the department, in order; signs for each case that it is given.

import { jetstream } from "@nats-io/jetstream";
import { act, connected, department } from "./bus.mjs";

const js = jetstream(await connected(), { apiPrefix: "BUS.API" });
const mine = await js.consumers.get("DEPARTMENTS", department);
for await (const message of await mine.consume({ max_messages: 10 })) {
  const event = message.json();
  console.log(event.type, event.subject, JSON.stringify(event.data));
  if (event.type === "whistle.case.assigned.v1") {
    await js.publish(`act.${department}.accept`, act("accept", event.subject, `accept-${event.id}`));
  }
  message.ack(); // only now: if this program dies before, the event comes again
}
