#!/bin/sh
# Asks Docker for the published port, which takes root for the socket alone, and runs the application as nobody in
# particular.
set -eu
if [ -z "${DOCKERPORT:-}" ]; then
  DOCKERPORT=$(python3 /app/published_port.py 8000)
fi
export DOCKERPORT
exec setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs python3 /app/quotes.py
