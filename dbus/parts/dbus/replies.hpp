// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>
#include <vector>

#include <sdbus-c++/Message.h>

#include "core/checkpoints.hpp"
#include "core/tunnels.hpp"
#include "dbus/values.hpp"

namespace porthole::dbus {

// What core answers, as D-Bus values.

template <typename T>
std::vector<std::string> to_texts(std::span<const T> values) {
    std::vector<std::string> texts;
    for (const auto& value : values) texts.push_back(to_text(value));
    return texts;
}

/// What rows say besides what they hold.
struct Surroundings {
    const Hosts& hosts;
    bool enabled = true;  ///< false: all of them wait
};
Row to_row(const Reservation& reservation, const Surroundings& around);
std::vector<Row> to_rows(std::span<const Reservation> reservations, const Surroundings& around);
/// The same of several, as an array of rows at the end of a message: for many of them that takes a
/// part of the time.
void append(sdbus::Message& message, std::span<const Reservation* const> rows,
            const Surroundings& around);
/// The answer of Hosts.List.
std::vector<HostRow> hosts_of(const Gateway& gateway);
ConflictRow to_row(const Conflict& conflict);
std::vector<ConflictRow> to_rows(std::span<const Conflict> conflicts);
/// A page of a tunnel's peers.
std::vector<PeerRow> to_rows(std::span<const PeerView> peers, std::size_t offset,
                             std::size_t limit);
/// The property Diagnostics.Wans.
std::vector<Dictionary> wans_of(const Perimeter& perimeter);
/// The answer of Diagnostics.Explain.
Dictionary to_dictionary(const Explanation& explanation);
/// The answer of Manager.Status.
Dictionary to_dictionary(const GatewayStatus& status);
/// The property Manager.ActiveCheckpoint.
Dictionary active_checkpoint(const Checkpoints& checkpoints);

}  // namespace porthole::dbus
