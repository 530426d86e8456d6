-- Format 4: a run is found at once among tens of thousands of its user.

CREATE INDEX scopes_run ON scopes (tenant, run_id, user_id, agent_id);
