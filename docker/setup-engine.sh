#!/bin/sh
# Sees that the tests of the five worlds (`npm run test:e2e`) have a Docker engine and Compose.
#
#   sh docker/setup-engine.sh   do what is missing; says on standard error what it does
#
# An engine that answers, the one of DOCKER_HOST or of this machine, is used as it is. Where none does, Debian's docker.io
# and docker-compose are installed (as root), with what a root of Debian and a network of an engine's own need. No daemon
# is started: the tests start one of their own, on a socket and a data directory of its own, and end it.
#
# Ends with 0 when there is an engine or all that it takes to start one, else with 1 and the reason.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
search_dirs=${SETUP_SEARCH_DIRS-/usr/sbin:/sbin:/usr/local/bin}
PATH=$PATH${search_dirs:+:$search_dirs}
. "$root/docker/setup-parts.sh"

has() { command -v "$1" >/dev/null 2>&1; }
engine_answers() { has docker && docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
has_compose() { { has docker && docker compose version >/dev/null 2>&1; } || { has docker-compose && docker-compose version >/dev/null 2>&1; }; }
# What an engine of the tests' own needs: the daemon, its rules for packets, its bridge, and the root of the base image.
engine_programs='docker dockerd iptables ip setpriv debootstrap'
missing_programs() {
  for program in $engine_programs; do
    has "$program" || printf '%s ' "$program"
  done
}
ready() { has_compose && { engine_answers || { [ "$(id -u)" -eq 0 ] && [ -z "$(missing_programs)" ]; }; }; }

packages='docker.io docker-compose iptables iproute2 debootstrap debian-archive-keyring gpgv'
if ! ready && [ "$(id -u)" -eq 0 ] && has apt-get; then
  take_lock engine
  new_work
  if ! ready; then
    # shellcheck disable=SC2086
    install_debian "Docker's engine and Compose" $packages || :
    # From Debian 13 on the command line is a package of its own.
    has docker || install_debian "Docker's command line" docker-cli || :
  fi
  drop_lock
fi
if ready; then exit 0; fi

if engine_answers; then
  fail "Compose is needed by the end-to-end tests. Install it: $(how_to_install docker-compose)"
elif [ "$(id -u)" -ne 0 ]; then
  fail "no Docker engine answers${DOCKER_HOST:+ at $DOCKER_HOST}, and only root can start one for the end-to-end tests." \
    "Start one, or install it: $(how_to_install 'docker.io docker-compose')"
else
  lacking=$(missing_programs)
  fail "no Docker engine answers${DOCKER_HOST:+ at $DOCKER_HOST}, and to start one there is no ${lacking:-docker-compose}." \
    "Install it: $(how_to_install "$packages")"
fi
