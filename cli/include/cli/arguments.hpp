// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <sdbus-c++/Types.h>

#include "cli/completion.hpp"
#include "types/port.hpp"

namespace porthole::cli {

/// Options as the service gets them: what the command line has is named like the contract's keys,
/// and apart from numbers it is the service that judges the values.
using Dictionary = std::map<std::string, sdbus::Variant>;

struct Status {
    bool all = false;  ///< with all details
};

struct Diagnose {};

struct Metrics {};

struct List {
    Dictionary query;
    bool csv = false;  ///< as Apply reads it
};

struct Find {
    std::string protocol;
    Port port = Port::constant<1>();
};

/// Makes the reservations those of a file.
struct Apply {
    std::string file;          ///< "-": standard input
    bool dry_run = false;      ///< only say what would be done
    bool keep_others = false;  ///< remove none
};

struct Reserve {
    std::string host;
    std::string protocol;
    Port port = Port::constant<1>();
    Dictionary options;
};

struct Change {
    std::uint64_t id = 0;
    Dictionary changes;
    Dictionary options;
};

struct ExternalPort {
    std::string protocol;
    Port port;
};

struct Release {
    std::vector<std::variant<std::uint64_t, ExternalPort>> reservations;  ///< by id or by port
    Dictionary options;
};

struct ListConflicts {};

struct ResolveConflict {
    std::uint64_t id = 0;
    std::string action;
    Dictionary options;
};

struct ListHosts {};

struct Explain {
    std::string host;
    std::string protocol;
    Port port = Port::constant<1>();
    std::string remote;
};

struct Monitor {};

struct Reload {};

struct SetEnabled {
    bool enabled = true;
};

struct StartCheckpoint {
    std::uint32_t seconds = 0;
};

struct ExtendCheckpoint {
    std::uint64_t id = 0;
    std::uint32_t seconds = 0;
};

/// Keeps what was changed since a checkpoint, or undoes it.
struct EndCheckpoint {
    std::uint64_t id = 0;
    bool keep = true;
};

struct ShowCheckpoint {};

struct CreateTunnel {
    std::string name;
    Dictionary settings;
};

struct ConfigureTunnel {
    std::string name;
    Dictionary settings;
};

/// From a file of wg-quick(8).
struct ImportTunnel {
    std::string name;
    std::string file;  ///< "-": standard input
};

struct ExportPeer {
    std::string tunnel;
    std::string public_key;
    Dictionary options;
    bool qr = false;
};

struct Invite {
    std::string tunnel;
    Dictionary options;
    bool qr = false;
};

/// The line is a secret, so it is no argument.
struct Join {
    std::string file = "-";  ///< "-": standard input
    Dictionary options;
};

struct DeleteTunnel {
    std::string name;
};

struct ShowTunnels {
    std::optional<std::string> name;  ///< nothing: all of them
};

struct SetPeer {
    std::string tunnel;
    Dictionary peer;
    std::optional<std::string> preshared_key_file;  ///< "-": standard input
};

/// Makes the peers of a tunnel those of a file of wg-quick(8) or wg(8).
struct ApplyPeers {
    std::string tunnel;
    std::string file;      ///< "-": standard input
    bool dry_run = false;  ///< only say what would be done
};

struct RemovePeer {
    std::string tunnel;
    std::string public_key;
};

using Command =
    std::variant<Status, Diagnose, Metrics, List, Find, Apply, Reserve, Change, Release,
                 ListConflicts, ResolveConflict, ListHosts, Explain, Monitor, Reload, SetEnabled,
                 StartCheckpoint, ExtendCheckpoint, EndCheckpoint, ShowCheckpoint, CreateTunnel,
                 ConfigureTunnel, ImportTunnel, ExportPeer, Invite, Join, DeleteTunnel, ShowTunnels,
                 SetPeer, ApplyPeers, RemovePeer>;

struct Invocation {
    Command command;
    bool json = false;
};

/// There is nothing to run: help or the version was asked for, or the command line is wrong.
struct Stop {
    int status = 0;    ///< of the process
    std::string text;  ///< for standard output if the status is 0, else for standard error
};

/// `arguments`: without the name of the program. With "complete" as the first one, which no help
/// has, the others are a command line that somebody is typing.
std::variant<Invocation, Stop, Completion> parse_arguments(
    const std::vector<std::string>& arguments);

}  // namespace porthole::cli
