-- Who a case was with, by when it was to be handled, and since when its clock stood still: one row for each change.
CREATE TABLE assignments (
    case_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    department text,
    valid_from timestamptz NOT NULL,
    due_at timestamptz,
    paused_at timestamptz,
    assigned boolean NOT NULL,
    PRIMARY KEY (case_id, version)
);
