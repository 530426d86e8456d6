#!/usr/bin/env bash
# Run once by the image of PostgreSQL, as its superuser, when its data folder is made: a database whose owner is no
# superuser, and a role for the service that may not change tables. Passwords are read by psql itself, so that no
# list of processes shows them.
set -euo pipefail
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set owner `cat "${SECRETS:-/run/secrets}/owner_password"`
\set app `cat "${SECRETS:-/run/secrets}/app_password"`
CREATE ROLE engram_owner LOGIN PASSWORD :'owner';
CREATE ROLE engram_app LOGIN PASSWORD :'app';
CREATE DATABASE engram OWNER engram_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE engram FROM PUBLIC;
GRANT CONNECT ON DATABASE engram TO engram_app;
\connect engram
CREATE EXTENSION IF NOT EXISTS vector;
SQL
