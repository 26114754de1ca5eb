// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "core/claims.hpp"
#include "core/firewall.hpp"
#include "core/hosts.hpp"
#include "types/reservation.hpp"

namespace porthole {

/// What to do if somebody else owns the external port.
enum class OnConflict : std::uint8_t {
    fail,
    next,  ///< take the next free port; who renews keeps the port it has
};

template <>
struct TextForm<OnConflict> {
    static constexpr std::string_view allowed = "\"fail\" or \"next\"";
    static std::optional<OnConflict> parse(std::string_view text);
    static std::string format(const OnConflict& on_conflict);
};

/// A request for a reservation. An option without a value keeps what a renewed reservation has,
/// except the lifetime: a reservation that is renewed without one stays until it is released.
struct ReserveRequest {
    Endpoint internal;
    std::optional<Port> external_port =
        std::nullopt;  ///< nothing, for a new one: the internal port
    std::optional<ExternalAddress> external_address = std::nullopt;  ///< the same: any
    OnConflict on_conflict = OnConflict::fail;
    std::optional<Filtering> filtering = std::nullopt;
    std::optional<std::chrono::seconds> lifetime = std::nullopt;
    std::optional<Comment> comment = std::nullopt;
    std::uint32_t user = 0;  ///< who asks: a user id
};

/// A change of an existing reservation. What has no value stays.
struct ReservationChanges {
    std::optional<Port> external_port = std::nullopt;
    std::optional<ExternalAddress> external_address = std::nullopt;
    std::optional<Filtering> filtering = std::nullopt;
    std::optional<std::chrono::seconds> lifetime =
        std::nullopt;  ///< from now; zero: until released
    std::optional<Comment> comment = std::nullopt;
    std::uint32_t user = 0;  ///< who asks, as of ReserveRequest
};

/// The way from one state of the reservations to another.
struct ReservationDifference {
    std::vector<Reservation> before;  ///< the rows that go or change, as they were, by id
    std::vector<Reservation> after;   ///< the rows that come or change, as they will be, by id
    [[nodiscard]] bool empty() const { return before.empty() && after.empty(); }
    [[nodiscard]] ReservationDifference inverse() const { return {after, before}; }
};

/// The way to what the configuration file asks for, and what of it cannot be had.
struct ConfiguredDifference {
    ReservationDifference difference;
    std::vector<std::string> refused;  ///< "reservation[1]: …", what stands against it
    bool invalid = false;              ///< something of it nobody can have, whoever else has what
};

/// The way to new automatic reservations, and who got none.
struct ClaimedDifference {
    ReservationDifference difference;
    std::vector<Claim> refused;  ///< by a limit, or because no port is left
};

/// The way back to what was there earlier, and what of it cannot be had any more.
struct RestoredDifference {
    ReservationDifference difference;
    std::vector<std::string> refused;  ///< "reservation 7 of 192.168.2.2: …"
};

/// The filtering of a reservation whose request names none.
constexpr auto default_filtering = Filtering::address_dependent;

/// All reservations: a value. No two rows share an id, an internal endpoint or, where they are
/// translated, an external port on an address; who has a port on any address has it on all of its
/// family. A host
/// that is known by its MAC address is its addresses too, where no other row has that endpoint:
/// there is one owner of what leaves from an address and a port.
///
/// The const operations decide and change nothing: they return the way to the new state, or throw
/// InvalidArgument or Refused. apply() goes that way; it takes what this same value has planned.
class Reservations {
  public:
    Reservations() = default;
    /// Rows as they were stored. `next_id` is above every id that was ever given out.
    /// Throws StorageFailure where the rows contradict each other.
    Reservations(std::vector<Reservation> rows, ReservationId next_id);
    Reservations(const Reservations& other);
    Reservations& operator=(const Reservations& other) { return *this = Reservations(other); }
    Reservations(Reservations&&) = default;
    Reservations& operator=(Reservations&&) = default;
    ~Reservations() = default;

    [[nodiscard]] ReservationDifference reserve(const ReserveRequest& request, Origin origin,
                                                Time now) const;
    /// All or nothing. Requests are taken in order; each sees what those before it took. The
    /// message of a refused one starts with its place: "rows[2]: …". `ids` receives the id of
    /// each request's reservation, in the order of the requests.
    [[nodiscard]] ReservationDifference reserve_many(std::span<const ReserveRequest> requests,
                                                     Origin origin, Time now,
                                                     std::vector<ReservationId>& ids) const;
    [[nodiscard]] ReservationDifference change(ReservationId id, const ReservationChanges& changes,
                                               Time now) const;
    /// All or nothing; an id that is given twice counts once.
    [[nodiscard]] ReservationDifference release(std::span<const ReservationId> ids) const;
    /// Removes what has run out at `now`.
    [[nodiscard]] ReservationDifference expire(Time now) const;
    /// Makes the rows of origin `static` equal to `wanted`. An endpoint that had a reservation
    /// before, whoever asked for it, keeps its id. What somebody else owns is refused, and so is
    /// what `check` throws InvalidArgument for.
    [[nodiscard]] ConfiguredDifference configure(
        std::span<const ReserveRequest> wanted, Time now,
        const std::function<void(const HostKey&)>& check = [](const HostKey&) {}) const;

    /// Goes back to the rows of `earlier`, which were this value's once: those that were asked for,
    /// and claims. The configuration's rows stay, and so do claims that were made since, as far as
    /// nobody is in their way; what has run out meanwhile does not come back.
    [[nodiscard]] RestoredDifference restore(std::span<const Reservation> earlier, Time now) const;

    /// Reserves for hosts that were seen and have no reservation yet. Each gets its own port as
    /// external port; where that is not to be had, an alternate: always the same one, as long as
    /// nobody else has it.
    [[nodiscard]] ClaimedDifference claim(std::span<const Claim> claims, const ClaimPolicy& policy,
                                          Time now) const;
    /// Has claims make way that are on the gateway's own ports.
    [[nodiscard]] ReservationDifference leave_own_ports() const;
    /// Removes the automatic rows that were seen last at `before` or earlier.
    [[nodiscard]] ReservationDifference forget(Time before) const;
    /// Puts automatic rows into force, or out of force, so that those of `waiting` wait and no
    /// others do. It holds external ports.
    [[nodiscard]] ReservationDifference hold_back(const std::set<ProtocolPort>& waiting) const;

    /// Has the rows of hosts that are known by their MAC addresses go where these are. Who is not
    /// known to be anywhere keeps the address that he had, unless another host has it now; a row
    /// without an address waits. Claims for an address make way, other rows do not.
    [[nodiscard]] ReservationDifference follow() const;

    /// Throws Refused (`limit_exceeded`) for a change by request that leads to more than there may
    /// be: see types/limits.hpp. What the file asks for, and claims, are limited otherwise.
    void require_room(const ReservationDifference& change) const;
    void apply(const ReservationDifference& difference);
    /// The owner of this endpoint, if there is one, was seen at `now`.
    void saw(const Endpoint& from, Time now);
    /// Sets the state of those of these rows that are there and do not wait.
    void set_state(std::span<const ReservationId> ids, ReservationState state);

    /// The WANs' IPv4 addresses, and the IPv6 networks whose hosts are translated, both sorted;
    /// none of these: IPv6 is not translated. follow_perimeter() makes it hold for the rows that
    /// are there already.
    void set_perimeter(std::vector<Address> wan_addresses,
                       std::vector<Network> ipv6_nat_sources = {});
    /// Has the rows with a fixed external address wait while no WAN has it, and those in IPv6 have
    /// their ports outside, or not any more. Of several that want one, the oldest gets it.
    [[nodiscard]] ReservationDifference follow_perimeter() const;
    /// Has the row of a MAC address show its port, under NAT66, for this address of its host's:
    /// that is where it sends from now.
    [[nodiscard]] ReservationDifference translate(const Endpoint& from) const;
    /// Whether NAT66 applies to the host: somewhere, for a MAC address.
    [[nodiscard]] bool translates_ipv6(const HostKey& host) const;
    /// The rows whose ports others have outside, under NAT66.
    [[nodiscard]] const std::set<ReservationId>& crowded_out() const { return crowded_out_; }
    /// The fixed external addresses that no WAN has, and how many rows wait for each.
    [[nodiscard]] std::map<Address, std::size_t> missing_addresses() const;
    /// Whether no WAN has the fixed external address of this row.
    [[nodiscard]] bool lacks_address(const Reservation& row) const {
        const auto address = row.external_address.fixed();
        return address && !std::ranges::binary_search(wan_addresses_, *address);
    }

    /// The external ports that cannot be reserved; rows that have one already keep it.
    [[nodiscard]] const PortRange& pool() const { return pool_; }
    void set_pool(const PortRange& pool) { pool_ = pool; }

    /// Where a claim goes that has to make way for somebody who asked.
    [[nodiscard]] const PortRange& claim_alternates() const { return claim_alternates_; }
    void set_claim_alternates(const PortRange& alternates) { claim_alternates_ = alternates; }

    /// Where hosts are. follow() makes it hold for the rows that are there already.
    [[nodiscard]] const Whereabouts& whereabouts() const { return whereabouts_; }
    void set_whereabouts(Whereabouts whereabouts) { whereabouts_ = std::move(whereabouts); }
    /// The addresses of the rows of hosts that are known by their MAC addresses.
    [[nodiscard]] std::map<MacAddress, Address> followed() const;
    /// The same for IPv6.
    [[nodiscard]] std::map<MacAddress, std::vector<Address>> followed_ipv6() const;
    /// Whether there are such rows.
    [[nodiscard]] bool follows_hosts() const { return !followers_.empty(); }
    /// Whether there are rows that stand for IPv6 addresses.
    [[nodiscard]] bool has_pinholes() const { return pinholes_ != 0; }

    /// The ports that the gateway itself has, sorted: nobody can reserve them; rows that have one
    /// already keep it.
    [[nodiscard]] const std::vector<ProtocolPort>& own_ports() const { return own_ports_; }
    void set_own_ports(std::vector<ProtocolPort> ports) { own_ports_ = std::move(ports); }
    /// Whether somebody can have this external port, if nobody has it yet.
    [[nodiscard]] bool can_be_reserved(Protocol protocol, Port port) const {
        return !pool_.contains(port) && !is_own(protocol, port);
    }
    [[nodiscard]] bool is_own(Protocol protocol, Port port) const {
        return std::ranges::binary_search(own_ports_, ProtocolPort{protocol, port});
    }

    [[nodiscard]] const Reservation* find(ReservationId id) const;
    /// Who has this external port on all of the WANs' addresses.
    [[nodiscard]] const Reservation* find(Protocol protocol, Port external_port,
                                          Family family = Family::ipv4) const;
    /// Who has it on all of them or on one; of several, one.
    [[nodiscard]] const Reservation* anybody(const ProtocolPort& port) const;
    /// Who has the port on one of them and on no other, by endpoint.
    [[nodiscard]] const std::map<ExternalEndpoint, ReservationId>& fixed() const { return fixed_; }
    /// All who have this external port: those, and IPv6 hosts, which have it on their own
    /// addresses.
    [[nodiscard]] std::vector<const Reservation*> all_outside(const ProtocolPort& port) const;
    [[nodiscard]] const Reservation* find(const Endpoint& internal) const;
    /// Whose the packets from this endpoint are: its own row's, or that of the host which has the
    /// address now.
    [[nodiscard]] const Reservation* owner(const Endpoint& from) const;
    /// The first free port above `port`, then from the start of the same range: ports from 1024
    /// stay above 1023 and the well-known ones below (RFC 4787 section 4.2.1 speaks of ranges).
    /// Ports of the pool are never free.
    [[nodiscard]] std::optional<Port> next_free_port(Protocol protocol, Port port) const;
    [[nodiscard]] std::optional<Time> next_expiry() const;

    /// Ordered by id.
    [[nodiscard]] const std::map<ReservationId, Reservation>& rows() const { return rows_; }
    [[nodiscard]] std::size_t size() const { return rows_.size(); }
    /// How many were asked for by a user's clients; 0 for root's, which are not counted.
    [[nodiscard]] std::size_t count_of(std::uint32_t user) const;
    /// The rows of hosts that are known by their MAC addresses, and by IPv6 addresses.
    [[nodiscard]] const std::set<ReservationId>& followers() const { return followers_; }
    [[nodiscard]] const std::set<ReservationId>& ipv6_hosts() const { return ipv6_hosts_; }
    /// The automatic rows.
    [[nodiscard]] const std::set<ReservationId>& claims() const { return claims_; }
    [[nodiscard]] ReservationId next_id() const { return next_id_; }

    /// The same rows; ids given out in between do not matter.
    friend bool operator==(const Reservations& a, const Reservations& b) {
        return a.rows_ == b.rows_;
    }

  private:
    bool add(const Reservation& row);  // false: its endpoint, or its id, was there already
    void set_owner(const Reservation& row, ReservationId id);

    std::map<ReservationId, Reservation> rows_;
    struct ByInternal {
        using is_transparent = void;
        static const Endpoint& key(const Reservation* row) { return row->internal; }
        static const Endpoint& key(const Endpoint& internal) { return internal; }
        // Ports first: they tell most rows apart, and are quick to compare.
        static auto order(const Endpoint& internal) {
            return std::tie(internal.port, internal.protocol, internal.host);
        }
        bool operator()(const auto& a, const auto& b) const {
            return order(key(a)) < order(key(b));
        }
    };
    std::set<const Reservation*, ByInternal> by_internal_;  // they point into rows_
    std::set<std::pair<Time, ReservationId>> by_expiry_;
    std::set<ReservationId> claims_;
    std::map<std::uint32_t, std::size_t> users_;  // how many rows each has
    std::size_t pinholes_ = 0;
    std::set<ReservationId> followers_;             // rows of MAC addresses
    std::set<ReservationId> ipv6_hosts_;            // rows of IPv6 addresses
    std::map<Endpoint, ReservationId> by_address_;  // of those that have one, where it is
    // Per protocol, the owner of every external port that is translated; id 0: free. Empty until
    // the first reservation. Of those on any address.
    std::array<std::vector<ReservationId>, 2> by_external_;
    std::map<ExternalEndpoint, ReservationId> fixed_;  // of those with a fixed external address
    std::map<ProtocolPort, ReservationId> nat66_;      // the same, of IPv6
    std::set<ReservationId> crowded_out_;
    ReservationId next_id_{1};
    PortRange pool_ = default_pool;
    PortRange claim_alternates_ = ClaimPolicy().alternates;
    std::vector<ProtocolPort> own_ports_;
    std::vector<Address> wan_addresses_;
    std::vector<Network> ipv6_nat_sources_;
    Whereabouts whereabouts_;
};

}  // namespace porthole
