#!/bin/sh
# Of the all-in-one container. HAProxy outlives the operator, which is right until the container itself is to end: then
# somebody has to let it finish what it has. This waits, and on SIGTERM ends HAProxy softly (SIGUSR1, management guide 4):
# no new connection is taken, requests under way go on, for END_LIMIT seconds at most.
set -eu

limit=${END_LIMIT:-5}

end() {
  trap '' TERM
  # A master, its worker, and those that a reload replaced.
  pids=$(pidof haproxy) || exit 0
  # shellcheck disable=SC2086 # one word per process
  kill -USR1 $pids 2>/dev/null || :
  left=$((limit * 10))
  while pidof haproxy >/dev/null && [ "$left" -gt 0 ]; do
    sleep 0.1
    left=$((left - 1))
  done
  # shellcheck disable=SC2046
  kill -TERM $(pidof haproxy) 2>/dev/null || :
  exit 0
}
trap end TERM INT

while :; do
  sleep 3600 &
  wait $! || :
done
