# shellcheck shell=sh
# What the set-up scripts of this folder share; they source it. It sets `cache`, the directory of what they found and
# built, and sees that whatever way a set-up ends, what it runs ends too and its locks and half-done work go.
#
# SETUP_LOCK_PATIENCE is how many seconds another set-up that holds a lock is waited for, 900 where it is not set;
# SETUP_POLICY_PATH is where Debian's packages look whether they may start a daemon.

lock_patience=${SETUP_LOCK_PATIENCE:-900}
policy_path=${SETUP_POLICY_PATH:-/usr/sbin/policy-rc.d}
lock=
work=
child=
policy=

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

clean_up() {
  if [ -n "$child" ]; then
    # The whole group, where it leads one.
    kill -TERM "-$child" 2>/dev/null || kill "$child" 2>/dev/null || :
    wait "$child" 2>/dev/null || :
  fi
  if [ -n "$policy" ]; then rm -f "$policy"; fi
  if [ -n "$work" ]; then rm -rf "$work"; fi
  if [ -n "$lock" ]; then drop_lock; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [ -n "${XDG_CACHE_HOME:-}" ]; then
  cache=$XDG_CACHE_HOME/sluice
elif [ -n "${HOME:-}" ]; then
  cache=$HOME/.cache/sluice
else
  fail "neither HOME nor XDG_CACHE_HOME is set; set one of them to a directory that may be written"
fi
mkdir -p "$cache/bin" || fail "cannot write to $cache; set XDG_CACHE_HOME to a directory that may be written"

# find_program NAME DIRS: its path, from PATH or the colon-separated directories. Debian keeps haproxy in /usr/sbin,
# which is not on the PATH of an ordinary user.
find_program() {
  if command -v "$1" 2>/dev/null; then return 0; fi
  old_ifs=$IFS
  IFS=:
  for dir in $2; do
    if [ -x "$dir/$1" ]; then
      IFS=$old_ifs
      printf '%s\n' "$dir/$1"
      return 0
    fi
  done
  IFS=$old_ifs
  return 1
}

# at_least A B: whether the dotted version A is B or newer; the first two numbers count.
at_least() {
  a_major=${1%%.*} a_rest=${1#*.} b_major=${2%%.*} b_rest=${2#*.}
  a_minor=${a_rest%%[!0-9]*} b_minor=${b_rest%%[!0-9]*}
  [ "$a_major" -gt "$b_major" ] || { [ "$a_major" -eq "$b_major" ] && [ "${a_minor:-0}" -ge "${b_minor:-0}" ]; }
}

# version_of_haproxy BINARY: its major and minor number, `2.6`; nothing where it does not answer like HAProxy.
version_of_haproxy() {
  "$1" -v 2>/dev/null | sed -n 's/^HA-\{0,1\}Proxy version \([0-9][0-9]*[.][0-9][0-9]*\).*/\1/p'
}

# watched TITLE COMMAND...: runs it with its output kept in $work/log, tells every five seconds that it goes on, and
# shows the end of the output when it fails.
watched() {
  title=$1
  shift
  say "$title"
  "$@" >"$work/log" 2>&1 </dev/null &
  child=$!
  begin=$(date +%s)
  told=$begin
  while kill -0 "$child" 2>/dev/null; do
    sleep 0.2 2>/dev/null || sleep 1
    now=$(date +%s)
    if [ $((now - told)) -ge 5 ]; then
      say "  … $((now - begin)) s"
      told=$now
    fi
  done
  status=0
  wait "$child" || status=$?
  child=
  if [ "$status" -ne 0 ]; then
    tail -n 20 "$work/log" | sed 's/^/setup:   | /' >&2
    say "failed (exit code $status): $*"
  fi
  return "$status"
}

# is_alive PID: whether there is such a process. One of another user's may not be signalled, and is alive all the same.
is_alive() {
  answer=$( (LC_ALL=C && export LC_ALL && kill -0 "$1") 2>&1) && return 0
  case $answer in *[Pp]ermi*) return 0 ;; esac
  [ -d "/proc/$1" ]
}

# Takes the lock NAME, so that two set-ups at once do not do the same work in the same place. A lock whose owner is
# gone is taken over; so is one that the same owner has for longer than any set-up lasts, for the process that has its
# number now may be quite another.
take_lock() {
  wanted=$cache/$1.lock
  waited=0
  holder=
  refused=0
  until mkdir "$wanted" 2>/dev/null; do
    owner=$(cat "$wanted/pid" 2>/dev/null || :)
    if [ "$owner" != "$holder" ]; then
      holder=$owner
      waited=0
    fi
    stale=
    if [ -z "$owner" ]; then
      # One that is being made, or whose maker died just then: three seconds decide.
      if [ "$waited" -ge 3 ]; then stale=yes; fi
    elif ! is_alive "$owner"; then
      stale=yes
    elif [ "$waited" -ge "$lock_patience" ]; then
      say "$wanted has been held for $waited s by process $owner, which is no set-up or hangs; taking it over"
      stale=yes
    fi
    if [ -n "$stale" ]; then
      # Only one can win the rename.
      if mv "$wanted" "$wanted.stale.$$" 2>/dev/null; then
        rm -rf "$wanted.stale.$$"
        continue
      fi
      refused=$((refused + 1))
      if [ "$refused" -ge 5 ]; then
        fail "cannot take the lock $wanted; see that $cache may be written, or set XDG_CACHE_HOME to another directory"
      fi
    elif [ $((waited % 5)) -eq 0 ]; then
      say "another set-up${owner:+ (process $owner)} is at work; waiting"
    fi
    sleep 1
    waited=$((waited + 1))
  done
  lock=$wanted
  printf '%s\n' "$$" >"$lock/pid"
}
# What another set-up has taken over is its own.
drop_lock() {
  case $(cat "$lock/pid" 2>/dev/null || :) in '' | "$$") rm -rf "$lock" ;; esac
  lock=
}

new_work() {
  if [ -n "$work" ]; then rm -rf "$work"; fi
  work=$(mktemp -d "$cache/work.XXXXXX")
}

# How to get a package on this platform, as a command to type.
how_to_install() {
  as_root=
  if [ "$(id -u)" -ne 0 ]; then as_root='sudo '; fi
  if command -v apt-get >/dev/null 2>&1; then
    echo "${as_root}apt-get install -y $1"
  elif command -v dnf >/dev/null 2>&1; then
    echo "${as_root}dnf install -y $1"
  elif command -v apk >/dev/null 2>&1; then
    echo "${as_root}apk add $1"
  elif command -v pacman >/dev/null 2>&1; then
    echo "${as_root}pacman -S $1"
  elif command -v brew >/dev/null 2>&1; then
    echo "brew install $1"
  else
    echo "this platform's package manager: install the package \"$1\""
  fi
}

# install_debian TITLE PACKAGE...: installs packages of Debian, as root.
install_debian() {
  what=$1
  shift
  # A package may start a daemon of its own; policy-rc.d forbids that for as long as the installation lasts.
  if [ ! -e "$policy_path" ]; then
    policy=$policy_path
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  result=0
  watched "reading Debian's package lists" apt-get update || result=$?
  if [ "$result" -eq 0 ]; then
    watched "installing $what (Debian package)" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" || result=$?
  fi
  if [ -n "$policy" ]; then rm -f "$policy"; fi
  policy=
  return "$result"
}
