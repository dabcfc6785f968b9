#!/bin/sh
# Gives the Docker engine of DOCKER_HOST the two images that ours are built from: debian:trixie-slim and
# hashicorp/consul:1.19. What is there stays; what can be pulled is pulled; where no image registry can be reached,
# stand-ins of the same names are made:
#
#   debian:trixie-slim     debootstrap's smallest Debian, kept as a file for SETUP_ROOT_DAYS days (14); it also holds this
#                          machine's own certificate authorities, so that a build behind a proxy that has one reaches npm
#   hashicorp/consul:1.19  /bin/consul of docker/setup.sh, which is a static binary
#
# SETUP_DEBIAN_MIRROR is where Debian is fetched from. Says on standard error what it does. Ends with 0 when both are
# there, else with 1 and the reason.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
mirror=${SETUP_DEBIAN_MIRROR:-http://deb.debian.org/debian}
search_dirs=${SETUP_SEARCH_DIRS-/usr/sbin:/sbin:/usr/local/bin}
PATH=$PATH${search_dirs:+:$search_dirs}
authorities=${SETUP_AUTHORITIES:-/usr/local/share/ca-certificates}
debian=debian:trixie-slim
consul=hashicorp/consul:1.19
. "$root/docker/setup-parts.sh"

has_image() { docker image inspect "$1" >/dev/null 2>&1; }
# A registry that cannot be reached may answer nothing at all.
pull() { timeout "${SETUP_PULL_SECONDS:-180}" docker pull --quiet "$1" >&2; }
stand_in() { say "making a stand-in for it; \"docker rmi $1\" removes that one, and the next pull brings the real one"; }

# Run by `watched`, in shells of their own: make_root's second step, and import_debian's.
pack_root() {
  made=$work/root
  rm -rf "$made"/var/cache/apt/archives/*.deb "$made"/var/lib/apt/lists/* "$made"/usr/share/doc/* "$made"/usr/share/man/* \
    "$made"/usr/share/locale/* "$made"/var/log/*.log
  # As Debian's own image has it: no daemon is started by a package, and no package is kept.
  printf '#!/bin/sh\nexit 101\n' >"$made/usr/sbin/policy-rc.d"
  chmod 755 "$made/usr/sbin/policy-rc.d"
  printf 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };\n' \
    >"$made/etc/apt/apt.conf.d/docker-clean"
  tar -C "$made" --exclude=./dev --exclude=./proc --exclude=./sys -czf "$work/root.tar.gz" .
}
make_root() {
  command -v debootstrap >/dev/null 2>&1 || {
    say "debootstrap is needed to make $debian. Install it: $(how_to_install debootstrap)"
    return 1
  }
  new_work
  group=
  if command -v setsid >/dev/null 2>&1; then group=setsid; fi
  # shellcheck disable=SC2086
  watched "making $debian with debootstrap from $mirror; needed every ${root_days} days" $group debootstrap \
    --force-check-gpg --variant=minbase trixie "$work/root" "$mirror" &&
    watched "packing it" pack_root &&
    mv "$work/root.tar.gz" "$root_tar"
}

root_days=${SETUP_ROOT_DAYS:-14}
root_tar=$cache/debian-trixie.tar.gz
root_is_fresh() { [ -n "$(find "$root_tar" -mtime "-$root_days" 2>/dev/null)" ]; }
import_debian() {
  if ! root_is_fresh; then
    take_lock debian-root
    if ! root_is_fresh && ! make_root; then
      [ -f "$root_tar" ] || return 1
      say "using the older $root_tar"
    fi
    drop_lock
  fi
  new_work
  watched "importing $debian" unpack_and_import
}
# The authorities are not in the file that is kept: they are this machine's as they are now.
unpack_and_import() {
  gzip -dc "$root_tar" >"$work/root.tar" || return 1
  mkdir -p "$work/more/usr/local/share/ca-certificates"
  for authority in "$authorities"/*.crt; do
    if [ -f "$authority" ]; then cp "$authority" "$work/more/usr/local/share/ca-certificates/" || return 1; fi
  done
  tar -C "$work/more" -rf "$work/root.tar" ./usr/local/share/ca-certificates &&
    docker import --change 'CMD ["bash"]' "$work/root.tar" "$debian"
}

import_consul() {
  binary=${SLUICE_CONSUL:-}
  if [ -z "$binary" ] && [ -f "$cache/env" ]; then binary=$(. "$cache/env" && printf '%s\n' "${SLUICE_CONSUL:-}"); fi
  binary=$(command -v "${binary:-consul}") || {
    say "run \"sh docker/setup.sh\" first, which gets Consul"
    return 1
  }
  new_work
  mkdir -p "$work/root/bin"
  cp -L "$binary" "$work/root/bin/consul"
  chmod 755 "$work/root/bin/consul"
  tar -C "$work/root" -cf "$work/consul.tar" . && watched "importing $consul" docker import \
    --change 'ENTRYPOINT ["/bin/consul"]' "$work/consul.tar" "$consul" || return 1
  # There is nothing else in the image: what runs is static.
  watched "asking it for its version" docker run --rm --network none "$consul" version || {
    docker image rm "$consul" >/dev/null 2>&1 || :
    say "$binary is not a static binary; unset SLUICE_CONSUL, and docker/setup.sh builds one"
    return 1
  }
}

has_image "$debian" || pull "$debian" || { stand_in "$debian" && import_debian; } || fail "$debian could neither be pulled nor made"
has_image "$consul" || pull "$consul" || { stand_in "$consul" && import_consul; } || fail "$consul could neither be pulled nor made"
