-- What a case was called and where it was said to be, until it was filed as something else, or adopted.
CREATE TABLE renamed (
    case_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    valid_until timestamptz NOT NULL,
    origin text NOT NULL,
    category text NOT NULL,
    street text,
    community text,
    grid text,
    longitude float8,
    latitude float8,
    PRIMARY KEY (case_id, version)
);
