// A connection to the bus as the department, with its key.

import { readFileSync } from "node:fs";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";

export const department = process.env.DEPARTMENT;

export function connected() {
  return connect({
    servers: process.env.BUS,
    authenticator: nkeyAuthenticator(new TextEncoder().encode(readFileSync(process.env.SEED, "utf8").trim())),
    inboxPrefix: `_INBOX_${department}`,
    maxReconnectAttempts: -1, // never give up: what happens meanwhile waits for you
  });
}

export function act(verb, caseId, id, data = {}) {
  return JSON.stringify({
    specversion: "1.0",
    id, // the same when it is sent again: a repeated act adds nothing
    source: `/departments/${department}`,
    type: `whistle.act.${verb}.v1`,
    subject: caseId,
    time: new Date().toISOString(),
    data,
  });
}
