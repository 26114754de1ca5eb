// SPDX-License-Identifier: GPL-2.0-or-later
#include "nft/conntrack_settler.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <map>
#include <set>
#include <span>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <net/if.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "flow.hpp"
#include "grace_period.hpp"
#include "netlink/connection.hpp"
#include "netlink/message.hpp"
#include "netlink/route_finder.hpp"
#include "netlink/socket.hpp"
#include "pinhole_watch.hpp"
#include "types/processor_time.hpp"
#include "types/sorted.hpp"

namespace porthole::nft {
namespace {

// Acknowledgements of more than this could overrun the socket's buffer.
constexpr std::size_t deletions_per_batch = 1000;

// Who has begun the flow.
template <typename Bits>
Sighting sighting(const FlowOf<Bits>& flow) {
    const auto& from = flow.original.source;
    return {to_address(from.address), flow.protocol, *Port::from(from.port)};
}

// Nothing for one that is to be settled.
std::optional<SparedFlow::Why> why_spared(FlowVerdict verdict) {
    switch (verdict) {
        case FlowVerdict::overloads_own_port:
        case FlowVerdict::overloads_claim:
            return SparedFlow::Why::overload;
        case FlowVerdict::departs_from_claim:
            return SparedFlow::Why::remapped;
        case FlowVerdict::answered:
            return SparedFlow::Why::answered;
        default:
            return std::nullopt;
    }
}

// More than anybody reads.
constexpr std::size_t most_spared = 1000;

// Nothing for one with a port 0, which nobody can have.
template <typename Bits>
std::optional<SparedFlow> spare(SparedFlow::Why why, const FlowOf<Bits>& flow) {
    const auto& from = flow.original.source;
    const bool answered = why == SparedFlow::Why::answered;
    const auto& remote = answered ? flow.original.destination : flow.reply.source;
    const auto port = Port::from(from.port);
    const auto remote_port = Port::from(remote.port);
    const auto external_port =
        Port::from(answered ? flow.original.destination.port : flow.reply.destination.port);
    if (!port || !remote_port || !external_port) return std::nullopt;
    return SparedFlow{why,
                      {to_address(from.address), flow.protocol, *port},
                      to_address(remote.address),
                      *remote_port,
                      *external_port};
}

// As its owner sees it, whoever has begun it.
template <typename Bits>
SparedFlow offloaded(const FlowOf<Bits>& flow, const SeenContact& contact) {
    const bool inbound = contact.remote == to_address(flow.original.source.address);
    const auto& remote = inbound ? flow.original.source : flow.reply.source;
    return {SparedFlow::Why::offloaded, contact.owner, contact.remote,
            Port::from(remote.port).value_or(contact.external_port), contact.external_port};
}

template <typename Bits>
std::vector<std::pair<Sighting, Port>> corrected(const FlowJudgeOf<Bits>& judge,
                                                 const std::vector<FlowOf<Bits>>& wrong) {
    std::map<Sighting, Port> owners;
    for (const auto& flow : wrong) {
        const auto used = Port::from(flow.reply.destination.port);
        if (used && judge.is_owners(flow)) owners.insert_or_assign(sighting(flow), *used);
    }
    return {owners.begin(), owners.end()};
}

template <typename T>
void add_unless_last(std::vector<T>& values, const std::optional<T>& value) {
    if (value && (values.empty() || values.back() != *value)) values.push_back(*value);
}

template <typename Bits>
std::string text(const FlowEndOf<Bits>& end) {
    const auto place = to_place(end);
    return place ? to_text(*place) : to_text(to_address(end.address)) + " port 0";
}

template <typename T>
void append(std::vector<T>& values, const std::vector<T>& more) {
    values.insert(values.end(), more.begin(), more.end());
}

}  // namespace

// What the worker asks of the kernel.
class ConntrackSettler::Conntrack {
  public:
    Conntrack() : flows_(std::make_unique<netlink::Socket>(NETLINK_NETFILTER)) {}

    template <typename Bits>
    struct Found {
        std::vector<FlowOf<Bits>> suspects;  // what the judge does not find fine
        std::vector<FlowOf<Bits>> unjudged;  // what pinholes are to judge anew
        std::vector<Sighting> seen;
        std::vector<SeenContact> contacts;
        std::map<Sighting, SparedFlow> offloaded;  // by owner
    };

    // With repetitions. `watch`: nothing where there are no pinholes in this family.
    template <typename Bits>
    Found<Bits> walk(const FlowJudgeOf<Bits>& judge, const PinholeWatch* watch = nullptr) {
        constexpr bool ipv6 = std::is_same_v<Bits, Ipv6Bits>;
        Found<Bits> found;
        flows_.dump(
            "list the flows in conntrack", conntrack_type(IPCTNL_MSG_CT_GET),
            [](nlmsghdr* message) {
                put_conntrack_header(message, ipv6 ? Family::ipv6 : Family::ipv4);
            },
            [&](const nlmsghdr* message) {
                const auto flow = decode_flow<Bits>(message);
                if (!flow) return;
                if constexpr (ipv6) {
                    if (watch != nullptr) {
                        if (watch->is_unjudged(*flow)) found.unjudged.push_back(*flow);
                        const auto contact = watch->contact_of(*flow);
                        add_unless_last(found.contacts, contact);
                        if (contact && judge.looks()) found.seen.push_back(contact->owner);
                    }
                }
                if (judge.judge(*flow) != FlowVerdict::fine) found.suspects.push_back(*flow);
                add_unless_last(found.seen, judge.shows(*flow));
                const auto contact = judge.contact_of(*flow);
                add_unless_last(found.contacts, contact);
                if (contact && flow->offloaded && judge.looks()) {
                    found.offloaded.try_emplace(contact->owner, offloaded(*flow, *contact));
                }
            },
            [&] { found = {}; });
        return found;
    }

    // Whether a host's packets to `destination` leave through one of these.
    bool leave_through(const Address& host, const Address& destination,
                       const std::vector<InterfaceName>& wans) {
        const auto index = routes_.outgoing_interface(host, destination);
        return index != 0 && std::ranges::any_of(wans, [index](const InterfaceName& wan) {
                   return if_nametoindex(wan.text().c_str()) == index;
               });
    }

    // Deletes these very flows; how many of them were still there. Throws BatchFailure.
    template <typename T>
    std::size_t remove(const std::vector<T>& flows) {
        std::span<const T> rest(flows);
        std::size_t removed = 0;
        while (!rest.empty()) {
            const auto part = rest.first(std::min(rest.size(), deletions_per_batch));
            rest = rest.subspan(part.size());
            removed += remove_part(part);
        }
        return removed;
    }

  private:
    template <typename T>
    std::size_t remove_part(std::span<const T> flows) {
        netlink::Batch batch;
        for (const auto& flow : flows) {
            const auto& from = flow.original.source;
            const auto& to = flow.original.destination;
            const auto source = to_address(from.address);
            const auto destination = to_address(to.address);
            batch.add("delete the flow of " + text(from) + " to " + text(to),
                      conntrack_type(IPCTNL_MSG_CT_DELETE), 0, [&](nlmsghdr* message) {
                          put_conntrack_header(message, source.family());
                          put_tuple(message, flow.protocol, source, from.port, destination,
                                    to.port);
                          mnl_attr_put_u32(message, CTA_ID, htonl(flow.id));
                      });
        }
        try {
            flows_.execute(std::move(batch).finalize());
            return flows.size();
        } catch (const netlink::BatchFailure& failure) {
            const auto& failures = failure.failures();
            const bool gone = std::ranges::all_of(
                failures, [](const auto& command) { return command.error == ENOENT; });
            if (!gone) throw;
            return flows.size() - failures.size();
        }
    }

    netlink::Connection flows_;
    netlink::RouteFinder routes_;
};

ConntrackSettler::ConntrackSettler(const SettlingPace& pace)
    : pace_(pace),
      conntrack_(std::make_unique<Conntrack>()),
      descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      packets_on_their_way_(std::make_unique<GracePeriod>()),
      worker_([this](const std::stop_token& stop) { work(stop); }) {
    if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

ConntrackSettler::~ConntrackSettler() {
    worker_.request_stop();
    worker_.join();
    close(descriptor_);
}

void ConntrackSettler::settle(SettleOrder order) {
    bool is_first = false;
    {
        const std::lock_guard lock(mutex_);
        is_first = waiting_.empty();
        last_ = Clock::now();
        if (is_first) first_ = last_;
        waiting_.push_back(std::move(order));
    }
    if (is_first) wake_.notify_one();
}

std::optional<SettleReport> ConntrackSettler::take_report() {
    std::uint64_t count = 0;
    while (read(descriptor_, &count, sizeof(count)) > 0) {
    }
    const std::lock_guard lock(mutex_);
    return std::exchange(report_, std::nullopt);
}

// Waits for orders, until it is time to work them off. None: it is time to stop.
std::vector<SettleOrder> ConntrackSettler::take_orders(const std::stop_token& stop,
                                                       Clock::time_point rested) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, stop, [this] { return !waiting_.empty(); });
    // While orders keep coming, look less and less often whether they still do.
    Clock::duration patience = pace_.quiet;
    while (!stop.stop_requested()) {
        const auto gathered = std::min(last_ + pace_.quiet, first_ + pace_.longest_wait);
        const auto begin = std::max<Clock::time_point>(gathered, rested);
        if (begin <= Clock::now()) return std::exchange(waiting_, {});
        const auto latest = std::max<Clock::time_point>(first_ + pace_.longest_wait, rested);
        wake_.wait_until(lock, stop, std::min(std::max(begin, Clock::now() + patience), latest),
                         [] { return false; });
        patience *= 2;
    }
    return {};
}

void ConntrackSettler::work(const std::stop_token& stop) {
    auto rested = Clock::now();
    while (true) {
        const auto orders = take_orders(stop, rested);
        if (orders.empty()) return;
        SettleReport report;
        // A packet that the old rules have judged may not be in conntrack yet. For one reservation
        // the quiet is enough.
        constexpr std::chrono::milliseconds patience{500};
        const bool gap = std::ranges::any_of(orders, &SettleOrder::gap);
        report.early = gap && !packets_on_their_way_->wait(patience);
        const auto begun = processor_time();
        for (const auto settle : {&ConntrackSettler::settle_flows<Ipv4Bits>,
                                  &ConntrackSettler::settle_flows<Ipv6Bits>}) {
            try {
                (this->*settle)(orders, report);
            } catch (const std::exception& error) {
                report.failure = error.what();
            }
        }
        report.ticket = orders.back().ticket;
        const auto took = processor_time() - begun;
        report.took = std::chrono::ceil<std::chrono::milliseconds>(took);
        {
            const std::lock_guard lock(mutex_);
            if (report_) {
                report.deleted += report_->deleted;
                report.early |= report_->early;
                if (!report.seen && report_->seen) {
                    report.seen = std::move(report_->seen);
                    report.spared = std::move(report_->spared);
                    report.corrected = std::move(report_->corrected);
                }
                report.contacts.insert(report.contacts.end(), report_->contacts.begin(),
                                       report_->contacts.end());
                sort_unique(report.contacts);
                if (report.failure.empty()) report.failure = report_->failure;
            }
            report_ = std::move(report);
        }
        const bool many = orders.size() > pace_.few;
        const auto rest = took * (many ? pace_.rest_factor_of_many : pace_.rest_factor);
        const auto longest = many ? pace_.longest_rest_of_many : pace_.longest_rest;
        rested = Clock::now() + std::min<Clock::duration>(rest, longest);
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = write(descriptor_, &one, sizeof(one));
    }
}

template <typename Bits>
void ConntrackSettler::settle_flows(const std::vector<SettleOrder>& orders, SettleReport& report) {
    FlowJudgeOf<Bits> judge;
    PinholeWatch watch;
    for (const auto& order : orders) judge.follow(order);
    if constexpr (std::is_same_v<Bits, Ipv6Bits>) {
        for (const auto& order : orders) watch.follow(order);
    }
    if (judge.finds_all_fine() && watch.empty()) return;
    auto [suspects, unjudged, seen, contacts, offloaded] =
        conntrack_->walk(judge, watch.empty() ? nullptr : &watch);
    append(report.contacts, contacts);
    sort_unique(report.contacts);
    if (judge.looks()) {
        if (!report.seen) report.seen.emplace();
        append(*report.seen, seen);
        sort_unique(*report.seen);
    }

    // What was ordered meanwhile may have made a suspect right.
    {
        const std::lock_guard lock(mutex_);
        for (const auto& order : waiting_) judge.follow(order);
    }
    // Where flows of others are in the gateway's way: its own flow there has another port.
    const auto way_of = [](const FlowOf<Bits>& flow, std::uint16_t port) {
        return std::tuple(flow.protocol, flow.reply.source.address, flow.reply.source.port, port);
    };
    std::set<std::tuple<Protocol, Bits, std::uint16_t, std::uint16_t>> wanted;
    for (const auto& flow : suspects) {
        if (judge.is_gateways(flow) && judge.judge(flow) == FlowVerdict::wrong) {
            wanted.insert(way_of(flow, flow.original.source.port));
        }
    }
    std::map<std::pair<Bits, Bits>, bool> leaves_through_wan;
    const auto is_wrong = [&](const FlowOf<Bits>& flow) {
        const auto verdict = judge.judge(flow);
        const bool in_the_way = verdict == FlowVerdict::overloads_own_port &&
                                wanted.contains(way_of(flow, flow.reply.destination.port));
        if (in_the_way) return true;
        if (const auto why = why_spared(verdict)) {
            const auto spared = spare(*why, flow);
            if (spared && report.spared.size() < most_spared) report.spared.push_back(*spared);
            return false;
        }
        if (verdict != FlowVerdict::wrong_if_through_wan) return verdict == FlowVerdict::wrong;
        const std::pair way(flow.original.source.address, flow.reply.source.address);
        const auto [known, unknown] = leaves_through_wan.try_emplace(way, false);
        if (unknown) {
            known->second = conntrack_->leave_through(to_address(way.first), to_address(way.second),
                                                      judge.wans());
        }
        return known->second;
    };
    std::erase_if(suspects, [&](const FlowOf<Bits>& flow) { return !is_wrong(flow); });
    for (const auto& [owner, flow] : offloaded) {
        if (report.spared.size() < most_spared) report.spared.push_back(flow);
    }
    std::ranges::sort(report.spared);
    append(report.corrected, corrected(judge, suspects));
    append(suspects, unjudged);
    // The gateway's own flows last: no mapping gives them their port, they get it if nobody has it.
    std::stable_partition(suspects.begin(), suspects.end(),
                          [&](const FlowOf<Bits>& flow) { return !judge.is_gateways(flow); });
    report.deleted += conntrack_->remove(suspects);
}

}  // namespace porthole::nft
