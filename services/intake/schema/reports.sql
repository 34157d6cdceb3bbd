CREATE TABLE reports (
    case_id text COLLATE "C" PRIMARY KEY,
    state text NOT NULL,
    category text NOT NULL,
    channel text NOT NULL,
    description text NOT NULL,
    photos text[] NOT NULL,
    address text,
    longitude double precision,
    latitude double precision,
    street text,
    community text,
    grid text,
    reported_at timestamptz NOT NULL,
    joined integer NOT NULL DEFAULT 0
);
CREATE INDEX reports_open_near ON reports (category, latitude, longitude) WHERE state = 'open';
CREATE INDEX reports_waiting ON reports (reported_at, case_id) WHERE state = 'waiting';
CREATE INDEX reports_waiting_in ON reports (community, reported_at, case_id) WHERE state = 'waiting';
