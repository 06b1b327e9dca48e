#!/bin/sh
# Puts what a workspace needs at run time into a folder: gather.sh WORKSPACE FOLDER. Runs in the built project. Its
# dependencies are those of package-lock.json; sbom.spdx.json lists them.
set -eu
workspace=$1 folder=$2
mkdir -p "$folder"

# Every manifest, because npm compares them with the lock file.
find . -name package.json -not -path '*/node_modules/*' -not -path '*/dist/*' |
  tar -cf - -T - package-lock.json | tar -xf - -C "$folder"
# The embedded PostgreSQL is for laptops.
omitted=$([ "$workspace" = coordinator ] && echo --omit=optional || true)
(cd "$folder" && npm ci --omit=dev $omitted --ignore-scripts --no-audit --no-fund --workspace "$workspace")

node deploy/container/slim.mjs "$folder" "$workspace"
(cd "$folder" && npm sbom --sbom-format=spdx --omit=dev --omit=optional >sbom.spdx.json)
cp deploy/container/health.mjs LICENSE "$folder/"
if [ "$workspace" = coordinator ]; then
  mkdir -p "$folder/prisma" "$folder/dashboard"
  cp -R prisma/migrations "$folder/prisma/"
  cp -R dashboard/dist "$folder/dashboard/"
fi
chmod -R a+rX,go-w "$folder"
