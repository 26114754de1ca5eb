#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Reserves a port, lists and releases it, with busctl alone.
# usage: busctl.sh HOST PORT
set -eu

reservations() {
    busctl call org.porthole.Gateway1 /org/porthole/Gateway1 org.porthole.Gateway1.Reservations "$@"
}

# What is printed begins with the types: "(tssqqssssxxa{sv}) ID …".
id=$(reservations Reserve 'ssqa{sv}' "$1" udp "$2" 1 comment s 'by busctl' | cut -d ' ' -f 2)
echo "reserved $id"
# And ends with the number of all and the generation.
echo "listed $(reservations List 'a{sv}uu' 1 origin s api 0 500 | awk '{ print $(NF - 1) }')"
reservations Release 'ata{sv}' 1 "$id" 0
echo "released $id"
