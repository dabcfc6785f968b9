#!/bin/sh
# Makes this machine ready for `npm run demo`, `npm test` and the benchmarks: npm packages, HAProxy, Consul.
#
#   sh docker/setup.sh               do what is missing; says on standard error what it does
#   sh docker/setup.sh --print-env   the same, then prints the env file on standard output
#
# What it found goes to ${XDG_CACHE_HOME:-$HOME/.cache}/sluice/env, which a shell can source and node can load:
#   SLUICE_HAPROXY='/usr/sbin/haproxy'
#   SLUICE_CONSUL='/root/.cache/sluice/bin/consul-1.19.2'
# Either variable, set beforehand, decides. SETUP_SEARCH_DIRS lists where else than on PATH programs are looked for;
# SETUP_LOCK_PATIENCE is how many seconds another set-up that holds a lock is waited for, 900 where it is not set.
#
# The work tree is left as it is, node_modules excepted. Ends with 0 when all is there, else with 1 and the reason.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
consul_version=1.19.2
search_dirs=${SETUP_SEARCH_DIRS-/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin}
go_dirs=${SETUP_SEARCH_DIRS-/usr/local/go/bin}
lock_patience=${SETUP_LOCK_PATIENCE:-900}
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
    kill "$child" 2>/dev/null || :
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

# --- Node.js and the npm packages ------------------------------------------------------------------------------------

node=$(find_program node '') || fail "Node.js 20.19 or newer is needed and \"node\" is not on PATH; install Node.js and npm"
node_version=$("$node" --version)
at_least "${node_version#v}" 20.19 ||
  fail "Node.js 20.19 or newer is needed, $node is $node_version; install a newer Node.js and put it first on PATH"

stamp=$root/node_modules/.sluice-installed
packages_current() { [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(cksum <"$root/package-lock.json")" ]; }
# Run by `watched`, in a shell of its own; `exec`, so that the signal that ends a set-up reaches npm and not a shell.
install_packages() {
  cd "$root" && exec npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
}

if ! packages_current; then
  find_program npm '' >/dev/null || fail "npm is needed and is not on PATH; install it ($(how_to_install npm))"
  take_lock "npm-$(printf '%s' "$root" | cksum | tr ' ' '-')"
  if ! packages_current; then
    new_work
    watched "installing the npm packages of package-lock.json" install_packages ||
      fail "the npm packages could not be installed; see the lines above, then run \"npm ci --ignore-scripts\""
    # Written last: an installation that was interrupted has no stamp.
    cksum <"$root/package-lock.json" >"$stamp"
  fi
  drop_lock
fi

# --- HAProxy ---------------------------------------------------------------------------------------------------------

install_haproxy() {
  # The package would start a HAProxy of its own; policy-rc.d forbids that for as long as the installation lasts.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  result=0
  watched "reading Debian's package lists" apt-get update || result=$?
  if [ "$result" -eq 0 ]; then
    # openssl makes the certificates of the TLS tests.
    watched "installing HAProxy (Debian package)" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 haproxy openssl || result=$?
  fi
  if [ -n "$policy" ]; then rm -f "$policy"; fi
  policy=
  return "$result"
}

missing=0
haproxy=${SLUICE_HAPROXY:-}
if [ -z "$haproxy" ]; then haproxy=$(find_program haproxy "$search_dirs") || haproxy=; fi
if [ -z "$haproxy" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
  take_lock haproxy
  new_work
  install_haproxy || :
  drop_lock
  haproxy=$(find_program haproxy "$search_dirs") || haproxy=
fi
if [ -z "$haproxy" ]; then
  say "HAProxy 2.6 or newer is needed and was not found. Install it: $(how_to_install haproxy)"
  missing=1
elif haproxy_version=$("$haproxy" -v 2>/dev/null | sed -n 's/^HA-\{0,1\}Proxy version \([0-9][0-9]*[.][0-9][0-9]*\).*/\1/p') &&
  [ -n "$haproxy_version" ]; then
  if ! at_least "$haproxy_version" 2.6; then
    say "HAProxy 2.6 or newer is needed, $haproxy is $haproxy_version. Put a newer one on PATH, or name it in SLUICE_HAPROXY"
    missing=1
  fi
else
  say "$haproxy -v does not answer like HAProxy. Name HAProxy's binary in SLUICE_HAPROXY, or leave that unset"
  missing=1
fi

# --- Consul ----------------------------------------------------------------------------------------------------------

# Consul comes from its own sources, through Go's module proxy; docker/consul names the version and, in go.sum, the
# digest of every byte of it. The build works on a copy: `-mod=mod` may write to go.mod.
compile_consul() {
  cd "$work/consul" && mkdir tmp && exec env GOTMPDIR="$work/consul/tmp" GONOSUMDB='github.com/hashicorp/*' \
    GOWORK=off CGO_ENABLED=0 "$go" build -mod=mod -trimpath -ldflags '-s -w' -o "$work/consul.bin" github.com/hashicorp/consul
}
build_consul() {
  new_work
  cp -R "$root/docker/consul" "$work/consul"
  watched "building Consul $consul_version with $go; needed once, this takes some minutes" compile_consul || return 1
  # What is not in go.sum would have been added, unverified.
  if ! cmp -s "$root/docker/consul/go.sum" "$work/consul/go.sum"; then
    say "Go wanted modules that docker/consul/go.sum does not name; the build is not used"
    return 1
  fi
  "$work/consul.bin" version >/dev/null 2>&1 || {
    say "the Consul that was built does not run on this machine"
    return 1
  }
  # The name appears only with the whole binary behind it.
  mv "$work/consul.bin" "$cached_consul"
}

cached_consul=$cache/bin/consul-$consul_version
consul=${SLUICE_CONSUL:-}
if [ -z "$consul" ]; then consul=$(find_program consul "$search_dirs") || consul=; fi
if [ -z "$consul" ] && [ -x "$cached_consul" ]; then consul=$cached_consul; fi
if [ -z "$consul" ]; then
  if go=$(find_program go "$go_dirs"); then
    go_version=$("$go" env GOVERSION 2>/dev/null || :)
    # From 1.21 on, Go fetches the tool chain a module asks for.
    if at_least "${go_version#go}" 1.21 2>/dev/null; then
      take_lock consul
      if [ -x "$cached_consul" ] || build_consul; then consul=$cached_consul; fi
      drop_lock
      advice="See the lines above, or put a \"consul\" binary on PATH, or name one in SLUICE_CONSUL"
    else
      advice="Put a \"consul\" binary on PATH, or install Go 1.22 or newer ($go is ${go_version:-of an unknown version})"
    fi
  else
    advice="Put a \"consul\" binary on PATH, or install Go 1.22 or newer, which builds it: $(how_to_install golang)"
  fi
  if [ -z "$consul" ]; then
    say "Consul is needed and was not found. $advice"
    missing=1
  fi
elif ! command -v "$consul" >/dev/null 2>&1; then
  say "SLUICE_CONSUL names $consul, which cannot be run. Correct it, or leave it unset"
  missing=1
fi

[ "$missing" -eq 0 ] || exit 1

# --- The result ------------------------------------------------------------------------------------------------------

env_text="SLUICE_HAPROXY='$haproxy'
SLUICE_CONSUL='$consul'"
if [ "$(cat "$cache/env" 2>/dev/null || :)" != "$env_text" ]; then
  printf '%s\n' "$env_text" >"$cache/env.$$"
  mv "$cache/env.$$" "$cache/env"
fi
if [ "${1:-}" = --print-env ]; then printf '%s\n' "$env_text"; fi
