#!/bin/sh
# Gets every version of HAProxy the tests run on, next to the one docker/setup.sh found on this machine.
#
#   sh docker/setup-versions.sh   do what is missing; says on standard error what it does
#
# Standard output then has a line for each version, the oldest first: its number and its binary.
#   2.6 /usr/sbin/haproxy
#   3.0 /root/.cache/sluice/bin/haproxy-trixie
#   3.2 /root/.cache/sluice/bin/haproxy-sid
#
# A version this machine does not have comes from Debian: debootstrap fetches the release's packages and verifies their
# signatures, they are unpacked to ${XDG_CACHE_HOME:-$HOME/.cache}/sluice/roots/<release>, and a copy of the root's
# haproxy is told to use the root's own libraries. It is then an ordinary program of this machine: a master that starts
# itself anew for a reload comes up with the same libraries, and the tests' files are where they are for everybody.
#
# SETUP_HAPROXY_2_6, SETUP_HAPROXY_3_0 and SETUP_HAPROXY_3_2, set beforehand, name a version's binary;
# SETUP_DEBIAN_MIRROR is where Debian is fetched from. Root is needed only where debootstrap or patchelf has to be
# installed. Ends with 0 when all is there, else with 1 and the reason.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
mirror=${SETUP_DEBIAN_MIRROR:-http://deb.debian.org/debian}
# Debian keeps debootstrap there, which is not on the PATH of an ordinary user.
search_dirs=${SETUP_SEARCH_DIRS-/usr/sbin:/sbin}
PATH=$PATH${search_dirs:+:$search_dirs}
. "$root/docker/setup-parts.sh"

tools_ready() {
  for tool in debootstrap patchelf dpkg-deb gpgv; do
    command -v "$tool" >/dev/null 2>&1 || return 1
  done
}

# What is needed to get a version from Debian; says how to come by it where it cannot be had.
get_tools() {
  if tools_ready; then return 0; fi
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    new_work
    install_debian "debootstrap and patchelf" debootstrap patchelf gpgv debian-archive-keyring || :
    if tools_ready; then return 0; fi
  fi
  say "debootstrap and patchelf are needed to get HAProxy $1 from Debian. Install them:" \
    "$(how_to_install 'debootstrap patchelf gpgv debian-archive-keyring')"
  return 1
}

# Run by `watched`, in a shell of its own.
unpack_root() {
  for package in "$work"/root/var/cache/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$work/root" || return 1
  done
  rm -rf "$work/root/var/cache/apt/archives" "$release_root"
  mv "$work/root" "$release_root"
}

# Makes the copy that runs on this machine; patchelf writes the interpreter and the directories of the libraries into it.
adapt_haproxy() {
  interpreter=$(patchelf --print-interpreter "$release_root/usr/sbin/haproxy") || return 1
  # Where the package has the file itself, and not an absolute link of the root's own.
  loader=$(find "$release_root/usr/lib" "$release_root/lib/" -type f -name "${interpreter##*/}" | head -n 1)
  if [ -z "$loader" ]; then
    echo "no ${interpreter##*/} in $release_root"
    return 1
  fi
  triplet=$(dirname "$loader")
  triplet=${triplet##*/}
  cp "$release_root/usr/sbin/haproxy" "$work/haproxy" &&
    patchelf --set-interpreter "$loader" --force-rpath \
      --set-rpath "$release_root/usr/lib/$triplet:$release_root/lib/$triplet" "$work/haproxy" &&
    "$work/haproxy" -v
}

# build RELEASE BINARY: HAProxy of a release of Debian. The name appears only with all it needs behind it.
build() {
  new_work
  release_root=$cache/roots/$1
  mkdir -p "$cache/roots"
  # `setsid` makes a group of it, which ends with it when the set-up is interrupted. Packages that are downloaded only
  # need neither root nor device files.
  group=
  if command -v setsid >/dev/null 2>&1; then group=setsid; fi
  result=0
  # shellcheck disable=SC2086
  watched "fetching HAProxy of Debian $1 and its libraries from $mirror" $group debootstrap --download-only \
    --force-check-gpg --variant=minbase --include=haproxy "$1" "$work/root" "$mirror" || result=$?
  if [ "$result" -eq 0 ]; then watched "unpacking them to $release_root" unpack_root || result=$?; fi
  if [ "$result" -eq 0 ]; then watched "making it a program of this machine" adapt_haproxy || result=$?; fi
  if [ "$result" -eq 0 ]; then mv "$work/haproxy" "$2"; fi
  return "$result"
}

own=${SLUICE_HAPROXY:-}
if [ -z "$own" ] && [ -f "$cache/env" ]; then own=$(. "$cache/env" && printf '%s\n' "${SLUICE_HAPROXY:-}"); fi
if [ -z "$own" ]; then fail "run \"sh docker/setup.sh\" first, which finds this machine's own HAProxy"; fi
own_version=$(version_of_haproxy "$own")

missing=0
# provide VERSION RELEASE NAMED: sees to one version; its line goes to standard output.
provide() {
  binary=$3
  if [ -n "$binary" ]; then
    if [ "$(version_of_haproxy "$binary")" != "$1" ]; then
      say "$binary is not HAProxy $1; correct SETUP_HAPROXY_$(printf '%s' "$1" | tr . _), or leave it unset"
      missing=1
      return 0
    fi
  elif [ "$own_version" = "$1" ]; then
    binary=$own
  else
    binary=$cache/bin/haproxy-$2
    if [ -z "$(version_of_haproxy "$binary")" ]; then
      take_lock "haproxy-$2"
      # Another set-up may have been at it.
      if [ -z "$(version_of_haproxy "$binary")" ] && ! { get_tools "$1" && build "$2" "$binary"; }; then
        say "HAProxy $1 could not be had. See the lines above, or name its binary in SETUP_HAPROXY_$(printf '%s' "$1" | tr . _)"
        missing=1
        drop_lock
        return 0
      fi
      drop_lock
    fi
    has=$(version_of_haproxy "$binary")
    if [ "$has" != "$1" ]; then say "Debian $2 has HAProxy $has now, not $1; that is what will be tested"; fi
    set -- "$has"
  fi
  printf '%s %s\n' "$1" "$binary"
}
provide 2.6 bookworm "${SETUP_HAPROXY_2_6:-}"
provide 3.0 trixie "${SETUP_HAPROXY_3_0:-}"
provide 3.2 sid "${SETUP_HAPROXY_3_2:-}"
[ "$missing" -eq 0 ] || exit 1
