// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/explanation.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/perimeter.hpp"

namespace porthole {
namespace {

constexpr std::array<std::pair<Verdict, std::string_view>, 8> verdict_names{{
    {Verdict::reserved, "reserved"},
    {Verdict::displaced, "displaced"},
    {Verdict::masqueraded, "masqueraded"},
    {Verdict::left_to_others, "left-to-others"},
    {Verdict::follows_flow, "follows-flow"},
    {Verdict::blocked, "blocked"},
    {Verdict::stays_inside, "stays-inside"},
    {Verdict::no_route, "no-route"},
}};

constexpr auto masquerade_rule = "oifname @masquerade-wans";

std::string name_of(const Reservation& row) {
    return fmt::format("reservation {} of {} on port {}", number(row.id),
                       to_text(row.internal.host), to_text(row.internal.port));
}

std::string outside_of(const Reservation& row) {
    const auto address = row.external_address.fixed();
    return address ? to_text(Place{*address, row.external_port})
                   : "port " + to_text(row.external_port);
}

// A claim waits while flows of others use its port, others for their external address.
bool in_force(const Reservation& row) {
    return row.state != ReservationState::waiting ||
           (row.origin != Origin::automatic && row.external_address.is_any());
}

class Trace {
  public:
    Trace(const Packet& packet, const Perimeter& perimeter, const Reservations& reservations,
          Tracer& tracer)
        : packet_(packet),
          perimeter_(perimeter),
          scope_(perimeter.scope),
          reservations_(reservations),
          tracer_(tracer) {}

    Explanation follow(const std::function<std::string(int)>& interface_name) {
        const auto index = tracer_.way_out(packet_.source.address, packet_.destination.address);
        result_.interface = index == 0 ? std::string() : interface_name(index);
        if (result_.interface.empty()) {
            say("The gateway has no route from {} to {}.", to_text(packet_.source.address),
                to_text(packet_.destination.address));
            return end(Verdict::no_route);
        }
        find_owner();
        const auto wan = std::ranges::find(scope_.wans, result_.interface, &InterfaceName::text);
        if (wan == scope_.wans.end()) {
            say("It leaves through {}, which is no WAN: {}.", result_.interface,
                is_ipv4() ? "nothing is translated" : "who comes in there is not filtered");
            return end(Verdict::stays_inside);
        }
        say("It leaves through {}, a WAN.", result_.interface);
        if (!scope_.enabled) {
            say("Porthole is switched off: what becomes of it is up to the rules of others.");
            return end(Verdict::left_to_others);
        }
        if (follows_flow()) return result_;
        say("Conntrack has no such flow yet, so the rules decide.");
        is_translated() ? translate() : leave_as_it_is();
        return result_;
    }

  private:
    [[nodiscard]] bool is_ipv4() const { return packet_.source.address.family() == Family::ipv4; }
    // IPv6: where there is NAT66.
    [[nodiscard]] bool is_translated() const {
        return is_ipv4() || is_nat_source(scope_, packet_.source.address);
    }
    [[nodiscard]] const std::vector<Address>& wan_addresses() const {
        return is_ipv4() ? scope_.wan_addresses : scope_.ipv6_wan_addresses;
    }
    // Whether its owner's port is what the packet is to leave from.
    [[nodiscard]] bool is_shown() const {
        if (owner_ == nullptr) return false;
        return is_ipv4() ? in_force(*owner_) : nat66_host(*owner_) == packet_.source.address;
    }
    template <typename... Values>
    void say(fmt::format_string<Values...> format, Values&&... values) {
        result_.steps.push_back(fmt::format(format, std::forward<Values>(values)...));
    }
    Explanation end(Verdict verdict) {
        result_.verdict = verdict;
        return result_;
    }

    void find_owner() {
        const auto& [address, port] = packet_.source;
        owner_ = reservations_.owner({address, packet_.protocol, port});
        if (owner_ != nullptr) result_.reservation = owner_->id;
    }

    // The rules see the first packet of a flow only.
    bool follows_flow() {
        const auto flow = tracer_.flow_of(packet_.protocol, packet_.source, packet_.destination);
        if (!flow) return false;
        result_.flow = flow;
        const bool own = flow->source == packet_.source;
        result_.external_port = own ? flow->shown.port : flow->destination.port;
        say("Conntrack has the flow {} -> {}{}: until it ends, its packets show {}.",
            to_text(flow->source), to_text(flow->destination),
            flow->answered ? "" : " (not answered)",
            to_text(own ? flow->shown : flow->destination));
        if (owner_ != nullptr && own && is_translated()) judge_flow(*flow);
        end(Verdict::follows_flow);
        return true;
    }

    void judge_flow(const TrackedFlow& flow) {
        if (std::ranges::count(wan_addresses(), flow.shown.address) == 0) {
            say("It is not translated to an address of a WAN.");
        } else if (flow.shown.port == owner_->external_port && has_right_address(flow)) {
            say("That is the port of {}.", name_of(*owner_));
        } else if (owner_->origin == Origin::automatic) {
            say("Port {} was claimed for it: a flow that works is left alone, and one that is not "
                "answered is removed at the next look.",
                to_text(owner_->external_port));
        } else if (!is_shown()) {
            say_why_not_shown();
        } else {
            say("{} is reserved for it: that flow is being removed.", outside_of(*owner_));
        }
    }

    [[nodiscard]] bool has_right_address(const TrackedFlow& flow) const {
        const auto fixed = owner_->external_address.fixed();
        return !is_ipv4() || !fixed || *fixed == flow.shown.address;
    }

    void say_why_not_shown() {
        const auto other = nat66_host(*owner_);
        if (is_ipv4()) {
            say("{} is reserved for it, but no WAN has that address now.", outside_of(*owner_));
        } else if (other) {
            say("Port {} is reserved for its host, which sends from {} now; it follows a new flow "
                "of this address, twice a minute at most.",
                to_text(owner_->external_port), to_text(*other));
        } else {
            say("Port {} is reserved for it, but over IPv6 that belongs to another host: see "
                "status.",
                to_text(owner_->external_port));
        }
    }

    void leave_as_it_is() {
        say("Porthole does not translate {}: it leaves from its own address and port, as far as "
            "other rules leave them alone.",
            scope_.ipv6_nat_sources.empty() ? "IPv6" : to_text(packet_.source.address));
        result_.external_port = packet_.source.port;
        if (owner_ == nullptr) {
            say("Nobody has reserved port {} of this host: who comes in is up to other rules.",
                to_text(ProtocolPort{packet_.protocol, packet_.source.port}));
            return void(end(Verdict::left_to_others));
        }
        result_.rule = "meta l4proto . ip6 saddr . th sport @pinholes";
        say("It belongs to {}.", name_of(*owner_));
        say_who_comes_in(packet_.source.port);
        end(Verdict::reserved);
    }

    void translate() {
        const bool exempt = std::ranges::any_of(scope_.exempt, [&](const Network& network) {
            return network.contains(packet_.destination.address);
        });
        if (exempt) {
            say("{} is in nat.exempt.", to_text(packet_.destination.address));
            return leave_to_others();
        }
        if (!is_nat_source(scope_, packet_.source.address)) {
            say("{} is in no network whose packets are translated.",
                to_text(packet_.source.address));
            return leave_to_others();
        }
        if (is_shown()) return leave_from_reserved_port();
        if (owner_ != nullptr && owner_->origin != Origin::automatic) {
            say_why_not_shown();
        } else if (owner_ != nullptr) {
            say("Port {} was claimed for it, but flows of others still use that: see conflicts.",
                to_text(owner_->external_port));
        }
        const auto own = ProtocolPort{packet_.protocol, packet_.source.port};
        const auto family = packet_.source.address.family();
        const auto* taken = reservations_.find(own.protocol, own.port, family);
        if (taken != nullptr && (!is_ipv4() || in_force(*taken))) {
            say("External port {} belongs to {}.", to_text(own), name_of(*taken));
            return leave_from_pool(is_ipv4() ? "host-ports" : "nat66-ports");
        }
        if (const auto* bound = reservations_.anybody(own);
            is_ipv4() && bound != nullptr && bound != taken) {
            say("External port {} of {} belongs to {}.", to_text(own),
                to_text(bound->external_address), name_of(*bound));
            return leave_from_pool("bound-ports");
        }
        if (std::ranges::binary_search(scope_.own_ports, own)) {
            say("The gateway itself has port {}.", to_text(own));
            return leave_from_pool("own-ports");
        }
        const bool watched = is_ipv4() && packet_.protocol == Protocol::udp && scope_.watched &&
                             scope_.watched->contains(own.port);
        if (watched && owner_ == nullptr) {
            say("Port {} is watched: it may be claimed for the host.", to_text(own));
        }
        const bool masquerades = std::ranges::any_of(scope_.masquerade_wans, [&](const auto& wan) {
            return wan.text() == result_.interface;
        });
        if (!masquerades) {
            say("Nobody has reserved port {}.", to_text(own));
            return leave_to_others();
        }
        result_.rule = masquerade_rule;
        keep_port_if_free();
        end(Verdict::masqueraded);
    }

    void leave_from_reserved_port() {
        const auto port = owner_->external_port;
        const bool any = !is_ipv4() || owner_->external_address.is_any();
        result_.rule =
            !is_ipv4() ? "masquerade to :meta l4proto . ip6 saddr . th sport map @nat66"
            : any      ? fmt::format("masquerade to :meta l4proto . ip saddr . {} sport map @exact",
                                     to_text(packet_.protocol))
                       : "snat ip to meta l4proto . ip saddr . th sport map @fixed";
        say("It belongs to {}: it leaves from {} and from no other.", name_of(*owner_),
            any ? "port " + to_text(port) : outside_of(*owner_));
        if (const auto blocking =
                flow_from(port, any ? ExternalAddress() : owner_->external_address)) {
            result_.flow = blocking;
            say("But the flow {} -> {} has that port to this remote: the kernel drops the packet "
                "until that flow has gone.",
                to_text(blocking->source), to_text(blocking->destination));
            end(Verdict::blocked);
            return;
        }
        result_.external_port = port;
        say_who_comes_in(port);
        end(Verdict::reserved);
    }

    void say_who_comes_in(Port port) {
        switch (owner_->filtering) {
            case Filtering::endpoint_independent:
                say("Whoever sends to port {} reaches the host: its filtering is {}.",
                    to_text(port), to_text(owner_->filtering));
                break;
            case Filtering::address_dependent:
                say("{} may answer from any port; what comes to port {} from addresses that the "
                    "host has not sent to lately is dropped.",
                    to_text(packet_.destination.address), to_text(port));
                break;
            case Filtering::address_and_port_dependent:
                say("Packets of {} to port {} are its answers; what others send there is dropped.",
                    to_text(packet_.destination), to_text(port));
                break;
        }
    }

    void leave_from_pool(std::string_view set) {
        result_.rule = fmt::format("meta l4proto . th sport @{}", set);
        say("It leaves from a port of the pool {}.", to_text(scope_.pool));
        end(Verdict::displaced);
    }

    void leave_to_others() {
        say("Porthole leaves it to other rules, if there are any that translate it.");
        end(Verdict::left_to_others);
    }

    void keep_port_if_free() {
        const auto port = packet_.source.port;
        if (const auto other = flow_from(port)) {
            result_.flow = other;
            say("The flow {} -> {} has port {} to this remote: the kernel chooses another one at "
                "random.",
                to_text(other->source), to_text(other->destination), to_text(port));
            return;
        }
        result_.external_port = port;
        say("It keeps port {}, which nobody uses to this remote now.", to_text(port));
    }

    // Whoever has this port to the same remote already, on an address that the packet may get.
    std::optional<TrackedFlow> flow_from(Port port, ExternalAddress from = {}) {
        const auto wan = std::ranges::find(
            perimeter_.interfaces, result_.interface,
            [](const PerimeterInterface& interface) { return interface.name.text(); });
        if (wan == perimeter_.interfaces.end()) return std::nullopt;
        for (const auto& address : wan->addresses) {
            const bool possible = from.is_any() || from.fixed() == address;
            const bool same_family = address.family() == packet_.source.address.family();
            if (!same_family || address.is_link_local() || !possible) continue;
            auto found = tracer_.flow_of(packet_.protocol, packet_.destination, {address, port});
            if (found) return found;
        }
        return std::nullopt;
    }

    const Packet& packet_;
    const Perimeter& perimeter_;
    const Scope& scope_;
    const Reservations& reservations_;
    Tracer& tracer_;
    const Reservation* owner_ = nullptr;
    Explanation result_;
};

}  // namespace

std::optional<Verdict> TextForm<Verdict>::parse(std::string_view text) {
    for (const auto& [verdict, name] : verdict_names) {
        if (name == text) return verdict;
    }
    return std::nullopt;
}

std::string TextForm<Verdict>::format(const Verdict& verdict) {
    return std::string(verdict_names.at(static_cast<std::size_t>(verdict)).second);
}

Explanation explain(const Packet& packet, const Perimeter& perimeter,
                    const Reservations& reservations,
                    const std::function<std::string(int)>& interface_name, Tracer& tracer) {
    return Trace(packet, perimeter, reservations, tracer).follow(interface_name);
}

}  // namespace porthole
