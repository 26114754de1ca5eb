// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "types/reservation.hpp"
#include "types/tunnel.hpp"

// What two gateways tell each other so that their sites are connected: a line of text each way.
// Pure.
namespace porthole {

/// What the invitation gives to whoever takes it: the answer has it again, as the gateway that
/// invites keeps nothing.
struct Ticket {
    std::array<std::uint8_t, 16> nonce{};          ///< no two invitations are the same
    Time until = never;                            ///< it can be taken, and answered
    std::vector<InterfaceAddress> addresses = {};  ///< in the tunnel
    Comment name = {};                             ///< that the other side is to have here
    bool operator==(const Ticket&) const = default;
};

/// Where a gateway is found, and what is behind it.
struct Site {
    PublicKey key;
    std::optional<EndpointSetting> endpoint = std::nullopt;  ///< nothing: it is not known
    std::vector<Network> networks = {};                      ///< sorted, each once
    bool operator==(const Site&) const = default;
};

/// The line that one gateway gives away. Whoever has it can join: it is a secret.
struct Invitation {
    Site site;
    PresharedKey preshared_key;
    Ticket ticket;
    bool operator==(const Invitation&) const = default;
};

/// The line that comes back. There is nothing secret in it.
struct Answer {
    Site site;
    PublicKey to;  ///< the tunnel that has invited
    Ticket ticket;
    std::array<std::uint8_t, 32> tag{};  ///< see tag_of()
    bool operator==(const Answer&) const = default;
};

/// A private key's own way to make the preshared key of a ticket: with another ticket, or another
/// private key, it is another one.
PresharedKey preshared_key_of(const PrivateKey& key, const Ticket& ticket);
/// What shows that an answer is from somebody who had the invitation: a keyed BLAKE2b hash
/// (RFC 7693) over all of the answer but the tag.
std::array<std::uint8_t, 32> tag_of(const Answer& answer, const PresharedKey& preshared_key);

/// One line of printable ASCII, without its end.
SecretText encode(const Invitation& invitation);
std::string encode(const Answer& answer);

/// The line of an answer begins differently.
bool is_answer(std::string_view line);
/// Blanks around the line do not matter. Both throw InvalidArgument, which repeats nothing of what
/// could be a secret: for a line that was cut or altered, or is none of ours.
Invitation parse_invitation(std::string_view line);
Answer parse_answer(std::string_view line);

}  // namespace porthole
