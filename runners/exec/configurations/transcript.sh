#!/bin/sh
# Needs jq and whisper-cli of whisper.cpp. Its progress lines on stderr become the job's.
set -eu
language=$(jq -r '.language // "auto"')
whisper-cli -m "$WHISPER_MODEL" -l "$language" -f source.wav -otxt -of transcript -pp 2>&1 >/dev/null |
  tee stderr.txt |
  sed -un 's/.*progress = *\([0-9]*\)%.*/{"progress":\1}/p' >&3
[ -s transcript.txt ] || { tail -c 500 stderr.txt >&2; exit 65; }
jq -cn --arg words "$(wc -w < transcript.txt)" '{result: {words: ($words | tonumber)}}' >&3
