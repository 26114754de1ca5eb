# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
# For the other tools to source: what they need from Debian 12, and how it comes there.

packages_build=(
    g++ cmake ninja-build pkg-config
    libc-ares-dev libcsv-dev libmnl-dev libnftnl-dev libqrencode-dev libsdbus-c++-dev libsdbus-c++-bin libsodium-dev libsqlite3-dev
    libsystemd-dev
    libtomlplusplus-dev libcli11-dev libfmt-dev nlohmann-json3-dev libgtest-dev libgmock-dev libpugixml-dev
    python3 scdoc libglib2.0-dev
)
# What the lab runs inside of its namespaces.
packages_lab=(nftables conntrack dbus-daemon dnsmasq-base iperf3 iproute2 iputils-ping udev wireguard-tools
    wireguard-go)
# What runs firewalld, and firewalld itself, to be unpacked: the tests and tools/bench start it.
packages_python=(python3-dbus python3-gi python3-nftables gir1.2-glib-2.0)
packages_firewalld=(firewalld python3-firewall)
# What runs coturn, and coturn itself, to be unpacked: tests ask it what it sees of the gateway.
packages_libraries=(
    libevent-core-2.1-7 libevent-extra-2.1-7 libevent-openssl-2.1-7 libevent-pthreads-2.1-7
    libhiredis0.14 libmariadb3 libpq5
)
packages_coturn=(coturn)
# What only the tests run there.
packages_tests=(
    iptables polkitd systemd groff-base bash-completion fish zsh python3-prometheus-client
    "${packages_python[@]}" "${packages_libraries[@]}"
)
# The programs that tools/bench compares with, to be unpacked, and what runs them.
packages_bench=("${packages_python[@]}")
packages_peers=("${packages_firewalld[@]}" miniupnpd-nftables)
# What builds the kernel of tests/vm.
packages_kernel=(gcc make flex bison bc xz-utils libc6-dev)
# What boots Debian's own kernels there.
packages_qemu=(qemu-system-x86 busybox-static cpio kmod xz-utils)
# What builds the Debian package; what looks at it, and makes the system that it is installed on.
packages_package=(debhelper dpkg-dev python3 scdoc)
packages_package_tests=(lintian mmdebstrap systemd)
# What checks the sources.
packages_check=(clang clang-format clang-tidy libclang-rt-dev)

# install_missing PACKAGE…: installs those that are not there, without recommended ones. Machines
# that are not Debian's have to bring them along.
install_missing() {
    command -v apt-get >/dev/null || return 0
    local package missing=()
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            missing+=("$package")
    done
    ((${#missing[@]} > 0)) || return 0
    if ((EUID != 0)); then
        echo "$0: install these packages first, or run as root: ${missing[*]}" >&2
        return 1
    fi
    echo "Installing ${missing[*]} …" >&2
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get update
    quietly apt-get install --yes --no-install-recommends "${missing[@]}"
}

# unpack_packages DIRECTORY PACKAGE…: puts what is in them below the directory. Installed, they
# would take over this machine's own firewall.
unpack_packages() {
    local package
    apt-get update || return
    (cd "$1" && apt-get -o APT::Sandbox::User=root download "${@:2}") || return
    for package in "$1"/*.deb; do dpkg-deb --extract "$package" "$1" || return; done
}

# quietly COMMAND…: shows what the command prints only if it fails.
quietly() {
    local output status=0
    output=$("$@" 2>&1) || status=$?
    ((status == 0)) || printf '%s\n' "$output" >&2
    return "$status"
}
