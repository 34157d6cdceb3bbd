-- What happened to a case beside its course: signed, returned, extended, summoned, rated, scored, cards ...
CREATE TABLE marks (
    case_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    kind text NOT NULL,
    department text,
    at timestamptz NOT NULL,
    due_at timestamptz,
    number integer,
    detail text,
    PRIMARY KEY (case_id, version, kind)
);
