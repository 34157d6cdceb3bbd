// Does something with a case, and waits until the bus has it.
// node examples/node/act.mjs handle CASE '{"note": "Replaced"}'

import { randomUUID } from "node:crypto";
import { jetstream } from "@nats-io/jetstream";
import { act, connected, department } from "./bus.mjs";

const [verb, caseId, said = "{}"] = process.argv.slice(2);
const client = await connected();
const document = act(verb, caseId, randomUUID(), JSON.parse(said));
const receipt = await jetstream(client).publish(`act.${department}.${verb}`, document);
console.log(`received as number ${receipt.seq}, and will not be lost`);
await client.close();
