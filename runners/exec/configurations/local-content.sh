#!/bin/sh
# Needs jq and ollama. The prompt goes through a pipe, so that no shell and no option parser sees it.
set -eu
arguments=$(cat)
text=$(printf '%s' "$arguments" | jq -r .prompt | ollama run "$(printf '%s' "$arguments" | jq -r .model)")
jq -cn --arg text "$text" '{result: {text: $text}}' >&3
