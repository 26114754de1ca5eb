# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For tools that run a program of the release preset to source, after packages.sh.

# Whatever they run makes network namespaces.
require_root() {
    ((EUID == 0)) && return
    echo "$0 makes network namespaces and needs root: sudo $0" >&2
    exit 1
}

# build_release TARGET: as whom the checkout belongs to, also under sudo.
build_release() {
    local owner
    owner=$(stat -c %U .)
    as_owner() {
        if [[ $owner == root || $owner == UNKNOWN ]]; then "$@"; else runuser -u "$owner" -- "$@"; fi
    }
    echo "Building …" >&2
    quietly as_owner cmake --preset release
    quietly as_owner cmake --build --preset release --target "$1"
}
