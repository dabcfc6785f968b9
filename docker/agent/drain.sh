#!/bin/sh
# Waits; told to end (SIGTERM, as the first of the container's processes), it takes the container out of traffic while the
# application still answers: maintenance in Consul, then DRAIN seconds for the balancer to hear of it and for requests
# under way.
set -eu

drain() {
  trap '' TERM
  # An agent that does not answer is no reason to stay.
  consul maint -enable -reason='the container is stopping' || :
  sleep "${DRAIN:-2}"
  exit 0
}
trap drain TERM INT

# The agent of a container that was stopped and is started again remembers the maintenance of its end.
until consul maint -disable >/dev/null 2>&1; do
  sleep 1
done

while :; do
  sleep 3600 &
  wait $! || :
done
