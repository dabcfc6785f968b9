#!/bin/sh
# Gets what only the tests need besides docker/setup.sh, as Debian has it: PostgreSQL's server, Chromium for the tests in
# a browser, and systemd-analyze, which reads the unit files of docs/systemd. Where one cannot be had it says so and ends
# with 0: the tests that need it fail by themselves.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/docker/setup-parts.sh"

has_postgresql() {
  [ -n "${SLUICE_POSTGRES:-}" ] && return 0
  for program in /usr/lib/postgresql/*/bin/initdb; do
    [ -x "$program" ] && return 0
  done
  return 1
}

has_chromium() {
  [ -n "${SLUICE_CHROMIUM:-}" ] || [ -x /usr/bin/chromium ]
}

has_systemd() {
  command -v systemd-analyze >/dev/null 2>&1
}

# get NAME TITLE USE PACKAGE...: installs the packages unless has_NAME finds what they bring; says what USE needs it.
get() {
  # The functions of setup-parts.sh have a `title` and a `what` of their own.
  part=$1 part_title=$2 part_use=$3
  shift 3
  if ! "has_$part" && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    take_lock "$part"
    new_work
    "has_$part" || install_debian "$part_title" "$@" || :
    drop_lock
  fi
  "has_$part" || say "$part_title is needed by $part_use. Install it: $(how_to_install "$*")"
}

get postgresql "PostgreSQL's server" "the tests of raw TCP" postgresql
# The fonts are what the pages of HAProxy and Consul are drawn with: Chromium brings none.
get chromium Chromium "the tests in a browser" chromium fonts-liberation
get systemd systemd-analyze "the test of the unit files" systemd
