#!/usr/bin/env bash
# Run by the owner after each migration: the service's role may read and write every tenant's rows, and no tables.
set -euo pipefail
PGPASSWORD=$(<"${SECRETS:-/run/secrets}/owner_password")
export PGPASSWORD
exec psql --no-psqlrc --tuples-only --username engram_owner --command "SELECT engram.admit('engram_app')"
