CREATE TABLE patrols (
    case_id text COLLATE "C" PRIMARY KEY,
    grid text COLLATE "C" NOT NULL,
    worker text COLLATE "C" NOT NULL,
    day text COLLATE "C" NOT NULL,
    from_at timestamptz NOT NULL,
    until timestamptz NOT NULL,
    ended_at timestamptz,
    ended_by text
);
CREATE INDEX patrols_of_day ON patrols (day, grid);
CREATE TABLE patrol_points (
    case_id text COLLATE "C" NOT NULL,
    number integer NOT NULL,
    code text COLLATE "C" NOT NULL,
    longitude double precision NOT NULL,
    latitude double precision NOT NULL,
    passed_at timestamptz,
    distance_metres double precision,
    PRIMARY KEY (case_id, code)
);
CREATE TABLE patrol_finds (
    case_id text COLLATE "C" NOT NULL,
    found text COLLATE "C" NOT NULL,
    category text COLLATE "C" NOT NULL,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (case_id, found)
);
CREATE TABLE reported_by_others (
    case_id text COLLATE "C" PRIMARY KEY,
    grid text COLLATE "C" NOT NULL,
    category text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    reported_at timestamptz NOT NULL,
    filed boolean NOT NULL
);
CREATE INDEX reported_by_others_in_grid ON reported_by_others (grid, reported_at) WHERE filed;
