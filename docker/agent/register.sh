#!/bin/sh
# Registers the service of a definition file with the container's own agent, once it answers: ten tries, a second apart.
set -eu

definition=${1:-/etc/service.json}
tries=10

try=1
while ! consul services register "$definition"; do
  if [ "$try" -ge "$tries" ]; then
    echo "register: gave up after $tries tries; the agent's answer is above" >&2
    exit 1
  fi
  try=$((try + 1))
  sleep 1
done
