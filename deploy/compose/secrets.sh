#!/usr/bin/env bash
# Make the files in secrets/ that are not there yet, and say nothing of them.
# A container's user has to read them, so the folder is closed instead of the files.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
mkdir -p secrets
chmod 700 secrets
cd secrets

made() { # NAME VALUE
    [[ -s $1 ]] || printf '%s\n' "$2" >"$1"
}

made superuser_password "$(openssl rand -hex 24)"
made owner_password "$(openssl rand -hex 24)"
made app_password "$(openssl rand -hex 24)"
made owner_url "postgresql://engram_owner:$(<owner_password)@db/engram"
made app_url "postgresql://engram_app:$(<app_password)@db/engram"
made admin_key "engram_admin_$(openssl rand -hex 32)"
chmod 444 ./*
