#!/bin/sh
# Starts a Consul agent. Further words go to `consul agent`.
#
#   CONSUL_JOIN      names of agents to join, separated by blanks; asked again every second until one answers
#   CONSUL_SERVERS   this one is a server, of so many in all; not set: a client
set -eu

for name in ${CONSUL_JOIN:-}; do
  set -- -retry-join="$name" "$@"
done
if [ -n "${CONSUL_SERVERS:-}" ]; then
  set -- -server -bootstrap-expect="$CONSUL_SERVERS" "$@"
fi
exec consul agent -config-dir=/etc/consul.d -data-dir=/var/lib/consul "$@"
