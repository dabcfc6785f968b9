#!/bin/sh
# HAProxy for an operator with `haproxy.mode: external`: the main program of its container, or of a unit of its own.
# Writes the first configuration where there is none yet, and becomes HAProxy's master on it, so that signals reach it:
# SIGUSR1 lets it finish what it has, SIGTERM does not (management guide 4).
#
#   haproxy.sh [SETTING...]     settings for `sluice bootstrap`, the operator's own, such as --settings sluice.yaml
#
#   SLUICE_HAPROXY_DIRECTORY    the state directory it shares with the operator     /var/lib/sluice
#   SLUICE_HAPROXY_BINARY       the haproxy binary                                  haproxy
set -eu

directory=${SLUICE_HAPROXY_DIRECTORY:-/var/lib/sluice}
binary=${SLUICE_HAPROXY_BINARY:-haproxy}

# A HAProxy that is started again needs nothing but itself.
if [ ! -f "$directory/haproxy.cfg" ]; then
  # Process 1 dies of no signal it has no trap for, and a shell runs a trap at once only while it is in `wait`. There is no
  # connection yet to finish.
  bootstrap=
  trap '[ -z "$bootstrap" ] || kill "$bootstrap" 2>/dev/null; exit 143' TERM INT USR1
  sluice bootstrap --haproxy-directory "$directory" --haproxy-binary "$binary" "$@" &
  bootstrap=$!
  wait "$bootstrap"
  trap - TERM INT USR1
fi

cd "$directory"
# HAProxy tells its environment to whoever may ask its sockets, and has no use for passwords and tokens in it.
for name in $(env | sed -n 's/^\(SLUICE_[A-Za-z0-9_]*\)=.*/\1/p; s/^\(CONSUL_[A-Za-z0-9_]*\)=.*/\1/p'); do
  unset "$name"
done
exec "$binary" -W -S "$directory/sockets/master.sock,mode,600" -f "$directory/haproxy.cfg"
