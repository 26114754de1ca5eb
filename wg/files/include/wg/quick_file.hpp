// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "types/tunnel.hpp"

// The files of wg(8) and wg-quick(8).
namespace porthole::wg {

/// Reads such a file. Names of sections and keys in any case, values as wg(8) takes them: lists
/// with commas or several lines, "off" for no mark and no keepalive, a mark in hexadecimal,
/// networks with bits set behind their prefix or without one. The peers come out sorted by key.
///
/// Throws InvalidArgument with one line for everything that is wrong: "line 3: Endpoint: …".
/// Commands (PreUp, PostUp, PreDown, PostDown) are among that: they are never run. So are a key
/// that is given twice and a peer that is there twice, where wg(8) would take the last one. No
/// value of a key that is secret, and nothing that could be one, is repeated.
TunnelSettings parse_quick_file(std::string_view text);

/// The file of these settings; parse_quick_file() reads them back as they are.
SecretText format_quick_file(const TunnelSettings& settings);

}  // namespace porthole::wg
