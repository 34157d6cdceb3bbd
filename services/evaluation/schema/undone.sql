-- What was handled or closed for a time and then was not any more: sent back, assigned anew, reopened.
CREATE TABLE undone (
    case_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    department text,
    handled_at timestamptz,
    closed_at timestamptz,
    outcome text,
    ended_at timestamptz NOT NULL,
    PRIMARY KEY (case_id, version)
);
