-- Format 3: jobs have a priority, so that what somebody waits for goes before imports.

ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
