CREATE TABLE requests (
    case_id text COLLATE "C" PRIMARY KEY,
    live boolean NOT NULL,
    category text NOT NULL,
    channel text NOT NULL,
    description text NOT NULL,
    answers jsonb NOT NULL,
    photos jsonb NOT NULL,
    address text,
    longitude double precision,
    latitude double precision,
    street text,
    community text,
    grid text,
    requested_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    state text NOT NULL,
    closed boolean NOT NULL DEFAULT false,
    seen boolean NOT NULL DEFAULT false,
    department text,
    due_at timestamptz,
    outcome text,
    note text NOT NULL DEFAULT '',
    joined_to text
);
CREATE INDEX requests_by_time ON requests (requested_at DESC, case_id DESC) WHERE live;
CREATE INDEX requests_by_category ON requests (category, requested_at DESC, case_id DESC) WHERE live;
CREATE INDEX requests_open ON requests (requested_at DESC, case_id DESC) WHERE live AND NOT closed;
CREATE INDEX requests_by_change ON requests (updated_at, case_id) WHERE live;
CREATE TABLE request_steps (
    case_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    step text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (case_id, version)
);
