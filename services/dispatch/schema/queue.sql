-- Every open case, with who has it and who must act.
CREATE TABLE queue (
    case_id text COLLATE "C" PRIMARY KEY,
    category text NOT NULL,
    community text,
    step text NOT NULL,
    department text,
    assigned_at timestamptz,
    sign_by timestamptz,
    due_at timestamptz,
    warn_at timestamptz,
    verify_by timestamptz,
    lane text,
    paused text,
    asked_until timestamptz,
    whistle integer,
    level text,
    acts text,
    why text,
    since timestamptz
);
CREATE INDEX queue_of_department ON queue (department, due_at) WHERE step IN ('assigned', 'accepted');
CREATE INDEX queue_of_post ON queue (acts, since) WHERE acts IS NOT NULL;
CREATE INDEX queue_of_nobody ON queue (since) WHERE step IN ('filed', 'waiting');
-- Every department that a whistle called to an open case.
CREATE TABLE summons (
    case_id text COLLATE "C" NOT NULL,
    department text NOT NULL,
    whistle integer NOT NULL,
    lead boolean NOT NULL,
    officer text,
    report_by timestamptz NOT NULL,
    reported_in_at timestamptz,
    PRIMARY KEY (case_id, department)
);
CREATE INDEX summons_of_department ON summons (department);
