-- What is due, and what became of it.  No read model: rebuilds do not touch it.  It holds no text and no address.
CREATE SCHEMA IF NOT EXISTS notify;
CREATE TABLE IF NOT EXISTS notify.deliveries (
    notice_id uuid PRIMARY KEY,
    lane text COLLATE "C" NOT NULL,
    channel text NOT NULL,
    receiver text COLLATE "C" NOT NULL,
    case_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    position bigint NOT NULL,
    fact text NOT NULL,
    happened_at timestamptz NOT NULL,
    bundle text,
    replay bigint NOT NULL DEFAULT 0,
    planned_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'dead', 'dropped')),
    attempts integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0,
    tried_at timestamptz,
    status integer,
    reason text
);
CREATE INDEX IF NOT EXISTS deliveries_due ON notify.deliveries (lane, due_at, position) WHERE state = 'due';
CREATE INDEX IF NOT EXISTS deliveries_of_case ON notify.deliveries (case_id);
CREATE INDEX IF NOT EXISTS deliveries_of_receiver ON notify.deliveries (receiver, position DESC);
CREATE INDEX IF NOT EXISTS deliveries_settled ON notify.deliveries (planned_at) WHERE state <> 'due';
CREATE INDEX IF NOT EXISTS deliveries_dead ON notify.deliveries (planned_at DESC) WHERE state = 'dead';
CREATE TABLE IF NOT EXISTS notify.lanes (
    lane text COLLATE "C" PRIMARY KEY,
    due_at timestamptz NOT NULL,
    closed_until timestamptz NOT NULL DEFAULT '-infinity',
    failures integer NOT NULL DEFAULT 0,
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    holder uuid
);
-- Stretches of the log that are gone through again: for one subscription, or for all receivers when the table was lost.
CREATE TABLE IF NOT EXISTS notify.replays (
    replay_id uuid PRIMARY KEY,
    receiver text COLLATE "C",
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    replay bigint NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    last_position bigint NOT NULL,
    planned integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'cut')),
    asked_at timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE INDEX IF NOT EXISTS replays_running ON notify.replays (asked_at) WHERE state = 'running';
CREATE INDEX IF NOT EXISTS replays_of_receiver ON notify.replays (receiver, asked_at DESC);
