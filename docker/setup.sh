#!/bin/sh
# Makes this machine ready for `npm run demo`, `npm test` and the benchmarks: npm packages, HAProxy, Consul.
#
#   sh docker/setup.sh               do what is missing; says on standard error what it does
#   sh docker/setup.sh --print-env   the same, then prints the env file on standard output
#
# What it found goes to ${XDG_CACHE_HOME:-$HOME/.cache}/sluice/env, which a shell can source and node can load:
#   SLUICE_HAPROXY='/usr/sbin/haproxy'
#   SLUICE_CONSUL='/root/.cache/sluice/bin/consul-1.19.2'
# Either variable, set beforehand, decides. SETUP_SEARCH_DIRS lists where else than on PATH programs are looked for.
#
# The work tree is left as it is, node_modules excepted. Ends with 0 when all is there, else with 1 and the reason.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
consul_version=1.19.2
search_dirs=${SETUP_SEARCH_DIRS-/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin}
go_dirs=${SETUP_SEARCH_DIRS-/usr/local/go/bin}
. "$root/docker/setup-parts.sh"

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

missing=0
haproxy=${SLUICE_HAPROXY:-}
if [ -z "$haproxy" ]; then haproxy=$(find_program haproxy "$search_dirs") || haproxy=; fi
if [ -z "$haproxy" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
  take_lock haproxy
  new_work
  # openssl makes the certificates of the TLS tests.
  install_debian "HAProxy" haproxy openssl || :
  drop_lock
  haproxy=$(find_program haproxy "$search_dirs") || haproxy=
fi
if [ -z "$haproxy" ]; then
  say "HAProxy 2.6 or newer is needed and was not found. Install it: $(how_to_install haproxy)"
  missing=1
elif haproxy_version=$(version_of_haproxy "$haproxy") && [ -n "$haproxy_version" ]; then
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
