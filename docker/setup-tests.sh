#!/bin/sh
# Gets what only the tests need besides docker/setup.sh: PostgreSQL's server, as Debian has it. Where it cannot be had it
# says so and ends with 0: the tests that need it fail by themselves.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/docker/setup-parts.sh"

has_postgres() {
  [ -n "${SLUICE_POSTGRES:-}" ] && return 0
  for program in /usr/lib/postgresql/*/bin/initdb; do
    [ -x "$program" ] && return 0
  done
  return 1
}

if ! has_postgres && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
  take_lock postgresql
  new_work
  has_postgres || install_debian "PostgreSQL" postgresql || :
  drop_lock
fi
has_postgres || say "PostgreSQL's server is needed by the tests of raw TCP. Install it: $(how_to_install postgresql)"
