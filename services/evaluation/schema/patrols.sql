CREATE TABLE patrols (
    case_id text COLLATE "C" PRIMARY KEY,
    grid text NOT NULL,
    worker text NOT NULL,
    day text NOT NULL,
    ordered_until timestamptz NOT NULL,
    points integer NOT NULL,
    check_ins integer NOT NULL,
    found integer NOT NULL,
    passed integer NOT NULL,
    ended_at timestamptz,
    ended_by text
);
