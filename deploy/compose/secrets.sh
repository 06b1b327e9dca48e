#!/bin/sh
# Makes the secrets of compose.yaml, in deploy/compose/secrets/, where they are missing: passwords, keys, and a certificate
# that signs itself, for which callers need deploy/compose/secrets/tls/tls.crt.
set -eu
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder/tls"
chmod 700 "$folder"
secret() { openssl rand -hex 24; }
keep() { if [ -s "$folder/$1" ]; then cat >/dev/null; else cat >"$folder/$1"; fi; }

secret | keep postgres-password
secret | keep grafana-password
secret | keep baton-admin-key
printf 'DATABASE_URL=postgresql://baton:%s@postgres:5432/baton?sslmode=disable\nBATON_ADMIN_KEY=%s\n' \
  "$(cat "$folder/postgres-password")" "$(cat "$folder/baton-admin-key")" | keep coordinator.env
# On this machine alone the runner and Prometheus use the key of the administrator. Elsewhere give each a key of its own:
# see docs/deploy.md.
keep baton-viewer-key <"$folder/baton-admin-key"
printf 'RUNNER_KEY=%s\n' "$(cat "$folder/baton-admin-key")" | keep runner.env
# Containers read these as users of their own.
chmod 644 "$folder"/*-password "$folder/baton-viewer-key"
if [ ! -s "$folder/tls/tls.key" ]; then
  openssl req -x509 -newkey rsa:2048 -nodes -days 825 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
    -keyout "$folder/tls/tls.key" -out "$folder/tls/tls.crt" 2>/dev/null
fi
echo "Secrets are in $folder. The admin key: $(cat "$folder/baton-admin-key")"
