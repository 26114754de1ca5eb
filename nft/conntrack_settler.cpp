// SPDX-License-Identifier: GPL-2.0-or-later
#include "nft/conntrack_settler.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <exception>
#include <map>
#include <set>
#include <span>
#include <system_error>
#include <tuple>
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
#include "ipv6_flow.hpp"
#include "netlink/connection.hpp"
#include "netlink/message.hpp"
#include "netlink/route_finder.hpp"
#include "netlink/socket.hpp"
#include "types/sorted.hpp"

namespace porthole::nft {
namespace {

// Acknowledgements of more than this could overrun the socket's buffer.
constexpr std::size_t deletions_per_batch = 1000;

// Who has begun the flow.
Sighting sighting(const Flow& flow) {
    const auto& from = flow.original.source;
    return {Address::v4(from.address), flow.protocol, *Port::from(from.port)};
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
std::optional<SparedFlow> spare(SparedFlow::Why why, const Flow& flow) {
    const auto& from = flow.original.source;
    const bool answered = why == SparedFlow::Why::answered;
    const auto& remote = answered ? flow.original.destination : flow.reply.source;
    const auto port = Port::from(from.port);
    const auto remote_port = Port::from(remote.port);
    const auto external_port =
        Port::from(answered ? flow.original.destination.port : flow.reply.destination.port);
    if (!port || !remote_port || !external_port) return std::nullopt;
    return SparedFlow{why,
                      {Address::v4(from.address), flow.protocol, *port},
                      Address::v4(remote.address),
                      *remote_port,
                      *external_port};
}

// As its owner sees it, whoever has begun it.
SparedFlow offloaded(const Flow& flow, const SeenContact& contact) {
    const bool inbound = contact.remote == Address::v4(flow.original.source.address);
    const auto& remote = inbound ? flow.original.source : flow.reply.source;
    return {SparedFlow::Why::offloaded, contact.owner, contact.remote,
            Port::from(remote.port).value_or(contact.external_port), contact.external_port};
}

std::vector<std::pair<Sighting, Port>> corrected(const FlowJudge& judge,
                                                 const std::vector<Flow>& wrong) {
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

// Of this thread: where others have the processors, its own share of them has not grown.
std::chrono::nanoseconds processor_time() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

std::string text(const FlowEnd& end) {
    return to_text(Address::v4(end.address)) + ":" + std::to_string(end.port);
}

std::string text(const Flow& flow) {
    return text(flow.original.source) + " to " + text(flow.original.destination);
}

std::string text(const Ipv6Flow& flow) {
    return to_text(flow.ends.source) + " to " + to_text(flow.ends.destination);
}

void put_tuple_of(const Flow& flow, nlmsghdr* message) {
    put_conntrack_header(message);
    put_tuple(message, flow.protocol, flow.original);
}

void put_tuple_of(const Ipv6Flow& flow, nlmsghdr* message) {
    put_ipv6_conntrack_header(message);
    put_ipv6_tuple(message, flow.protocol, flow.ends.source, flow.ends.destination);
}

}  // namespace

// What the worker asks of the kernel.
class ConntrackSettler::Conntrack {
  public:
    Conntrack() : flows_(std::make_unique<netlink::Socket>(NETLINK_NETFILTER)) {}

    struct Found {
        std::vector<Flow> suspects;  // what the judge does not find fine
        std::vector<Sighting> seen;
        std::vector<SeenContact> contacts;
        std::map<Sighting, SparedFlow> offloaded;  // by owner
    };

    // With repetitions.
    Found walk(const FlowJudge& judge) {
        Found found;
        flows_.dump(
            "list the flows in conntrack", conntrack_type(IPCTNL_MSG_CT_GET), put_conntrack_header,
            [&](const nlmsghdr* message) {
                const auto flow = decode_flow(message);
                if (!flow) return;
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

    struct FoundIpv6 {
        std::vector<Ipv6Flow> unjudged;
        std::vector<SeenContact> contacts;
    };

    // With repetitions.
    FoundIpv6 walk(const PinholeWatch& watch) {
        FoundIpv6 found;
        flows_.dump(
            "list the IPv6 flows in conntrack", conntrack_type(IPCTNL_MSG_CT_GET),
            put_ipv6_conntrack_header,
            [&](const nlmsghdr* message) {
                const auto flow = decode_ipv6_flow(message);
                if (!flow) return;
                if (watch.is_unjudged(*flow)) found.unjudged.push_back(*flow);
                add_unless_last(found.contacts, watch.contact_of(*flow));
            },
            [&found] { found = {}; });
        return found;
    }

    // Whether a host's packets to `destination` leave through one of these.
    bool leave_through(std::uint32_t host, std::uint32_t destination,
                       const std::vector<InterfaceName>& wans) {
        const auto index = routes_.outgoing_interface(Address::v4(host), Address::v4(destination));
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
            batch.add("delete the flow of " + text(flow), conntrack_type(IPCTNL_MSG_CT_DELETE), 0,
                      [&flow](nlmsghdr* message) {
                          put_tuple_of(flow, message);
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
        for (const auto settle :
             {&ConntrackSettler::settle_all, &ConntrackSettler::settle_pinholes}) {
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
        rested =
            Clock::now() + std::min<Clock::duration>(took * pace_.rest_factor, pace_.longest_rest);
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = write(descriptor_, &one, sizeof(one));
    }
}

void ConntrackSettler::settle_all(const std::vector<SettleOrder>& orders, SettleReport& report) {
    FlowJudge judge;
    for (const auto& order : orders) judge.follow(order);
    if (judge.finds_all_fine()) return;
    auto [suspects, seen, contacts, offloaded] = conntrack_->walk(judge);
    sort_unique(contacts);
    report.contacts = std::move(contacts);
    if (judge.looks()) {
        sort_unique(seen);
        report.seen = std::move(seen);
    }

    // What was ordered meanwhile may have made a suspect right.
    {
        const std::lock_guard lock(mutex_);
        for (const auto& order : waiting_) judge.follow(order);
    }
    // Where flows of others are in the gateway's way: its own flow there has another port.
    const auto way_of = [](const Flow& flow, std::uint16_t port) {
        return std::tuple(flow.protocol, flow.reply.source.address, flow.reply.source.port, port);
    };
    std::set<std::tuple<Protocol, std::uint32_t, std::uint16_t, std::uint16_t>> wanted;
    for (const auto& flow : suspects) {
        if (judge.is_gateways(flow) && judge.judge(flow) == FlowVerdict::wrong) {
            wanted.insert(way_of(flow, flow.original.source.port));
        }
    }
    std::map<std::pair<std::uint32_t, std::uint32_t>, bool> leaves_through_wan;
    const auto is_wrong = [&](const Flow& flow) {
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
            known->second = conntrack_->leave_through(way.first, way.second, judge.wans());
        }
        return known->second;
    };
    std::erase_if(suspects, [&](const Flow& flow) { return !is_wrong(flow); });
    for (const auto& [owner, flow] : offloaded) {
        if (report.spared.size() < most_spared) report.spared.push_back(flow);
    }
    std::ranges::sort(report.spared);
    report.corrected = corrected(judge, suspects);
    report.deleted = conntrack_->remove(suspects);
}

void ConntrackSettler::settle_pinholes(const std::vector<SettleOrder>& orders,
                                       SettleReport& report) {
    PinholeWatch watch;
    for (const auto& order : orders) watch.follow(order);
    if (watch.empty()) return;
    const auto [unjudged, contacts] = conntrack_->walk(watch);
    report.contacts.insert(report.contacts.end(), contacts.begin(), contacts.end());
    sort_unique(report.contacts);
    if (report.seen) {
        for (const auto& contact : contacts) report.seen->push_back(contact.owner);
        sort_unique(*report.seen);
    }
    report.deleted += conntrack_->remove(unjudged);
}

}  // namespace porthole::nft
