// SPDX-License-Identifier: GPL-2.0-or-later
#include "gateway_object.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/resolution.hpp"
#include "dbus/answers.hpp"
#include "dbus/limits.hpp"
#include "dbus/message.hpp"
#include "dbus/names.hpp"
#include "dbus/requests.hpp"
#include "dbus/tunnel_requests.hpp"

namespace porthole::dbus {
namespace {

/// The answer to a change, made up when it is sent.
template <typename Answer>
struct Settled {
    // clang 14 does not deduce the template arguments of aggregates.
    Settled(bool wait_for_flows, Answer made_up)
        : wait(wait_for_flows), answer(std::move(made_up)) {}
    bool wait;  ///< send it only when the flows are settled
    Answer answer;
};

}  // namespace

GatewayObject::GatewayObject(sdbus::IConnection& connection, const UseCases& use_cases,
                             Service::ReadConfiguration read_configuration,
                             Service::TunnelFiles tunnel_files)
    : AdaptorInterfaces(connection, object_path),
      gateway_(use_cases.gateway),
      tunnels_(use_cases.tunnels),
      invitations_(use_cases.invitations),
      peers_(use_cases.peers),
      static_tunnels_(use_cases.static_tunnels),
      checkpoints_(use_cases.checkpoints),
      tracer_(use_cases.tracer),
      read_configuration_(std::move(read_configuration)),
      tunnel_files_(std::move(tunnel_files)),
      reception_(connection),
      tunnel_objects_(connection, tunnels_, invitations_, peers_, tunnel_files_.write, reception_) {
    registerAdaptor();
    tunnel_objects_.follow();
}

void GatewayObject::announce(std::uint64_t generation, std::span<const Reservation* const> changed,
                             const std::vector<std::uint64_t>& removed) {
    using org::porthole::Gateway1::Reservations_adaptor;
    auto signal = getObject().createSignal(Reservations_adaptor::INTERFACE_NAME, "Changed");
    signal << generation;
    append(signal, changed, surroundings());
    signal << removed;
    getObject().emitSignal(signal);
}

void GatewayObject::announce_wans() {
    if (std::exchange(perimeter_version_, gateway_.perimeter_version()) ==
        gateway_.perimeter_version()) {
        return;
    }
    // Some changes are of the LANs only.
    auto wans = wans_now();
    if (std::exchange(wans_, wans) == wans) return;
    getObject().emitPropertiesChangedSignal("org.porthole.Gateway1.Diagnostics", {"Wans"});
}

void GatewayObject::announce_enabled() {
    if (std::exchange(enabled_, gateway_.enabled()) == gateway_.enabled()) return;
    getObject().emitPropertiesChangedSignal("org.porthole.Gateway1.Manager", {"Enabled"});
}

void GatewayObject::announce_checkpoints() {
    if (std::exchange(checkpoint_version_, checkpoints_.version()) == checkpoints_.version()) {
        return;
    }
    for (const auto& [id, how] : checkpoints_.take_ended()) {
        if (how != CheckpointEnd::committed) {
            tunnel_objects_.follow();
            announce_tunnels_of(Origin::api);
        }
        emitCheckpointEnded(number(id), to_text(how));
    }
    getObject().emitPropertiesChangedSignal("org.porthole.Gateway1.Manager", {"ActiveCheckpoint"});
}

void GatewayObject::reload() {
    static_tunnels_.reload(read_configuration_());
    tunnel_objects_.follow();
    announce_tunnels_of(Origin::configured);
}

void GatewayObject::answer_settled() {
    const auto reported = gateway_.settling().reported();
    while (!waiting_.empty() && waiting_.front().order <= reported) {
        const auto send = std::move(waiting_.front().send);
        waiting_.pop_front();
        send();
    }
}

void GatewayObject::Reserve(sdbus::Result<Row>&& result, std::string host, std::string protocol,
                            std::uint16_t internal_port, Dictionary options) {
    change_and_settle(std::move(result), [=, this, client = client()] {
        auto call = parse_reserve(host, protocol, internal_port, options);
        if (call.settle) require_room();
        call.request.user = reception_.user_of(client);
        const auto row = gateway_.reserve(call.request, call.if_generation);
        return Settled(call.settle, [this, row] { return to_row(newest(row), surroundings()); });
    });
}

void GatewayObject::ReserveMany(sdbus::Result<std::vector<ReservedRow>>&& result,
                                std::vector<RequestRow> rows, Dictionary options) {
    change_and_settle(std::move(result), [this, client = client(), rows = std::move(rows),
                                          options] {
        auto call = parse_reserve_many(rows, options);
        if (call.settle) require_room();
        const auto user = reception_.user_of(client);
        for (auto& request : call.requests) request.user = user;
        std::vector<ReservedRow> reserved;
        reserved.reserve(call.requests.size());
        for (const auto& [id, port] : gateway_.reserve_many(call.requests, call.if_generation)) {
            reserved.emplace_back(number(id), port.value());
        }
        return Settled(call.settle, [reserved = std::move(reserved)] { return reserved; });
    });
}

void GatewayObject::Change(sdbus::Result<Row>&& result, std::uint64_t id, Dictionary changes,
                           Dictionary options) {
    change_and_settle(std::move(result), [=, this, client = client()] {
        auto call = parse_change(id, changes, options);
        if (call.settle) require_room();
        call.changes.user = reception_.user_of(client);
        const auto row = gateway_.change(call.id, call.changes, call.if_generation);
        return Settled(call.settle, [this, row] { return to_row(newest(row), surroundings()); });
    });
}

void GatewayObject::Release(sdbus::Result<>&& result, std::vector<std::uint64_t> ids,
                            Dictionary options) {
    change(std::move(result), [this, ids = std::move(ids), options] {
        const auto call = parse_release(ids, options);
        gateway_.release(call.ids, call.if_generation);
        return std::tuple();
    });
}

void GatewayObject::List(sdbus::Result<std::vector<Row>, std::uint32_t, std::uint64_t>&& result,
                         Dictionary query, std::uint32_t offset, std::uint32_t limit) {
    read(std::move(result), [=, this] {
        auto call = parse_list(query, offset, limit);
        call.query.all_wait = !gateway_.enabled();
        const auto page = list(gateway_.reservations(), call.query, call.offset, call.limit);
        return std::tuple(to_rows(page.rows, surroundings()),
                          static_cast<std::uint32_t>(page.total), gateway_.generation());
    });
}

void GatewayObject::Find(sdbus::Result<std::vector<Row>>&& result, std::string protocol,
                         std::uint16_t external_port) {
    read(std::move(result), [=, this] {
        const auto call = parse_find(protocol, external_port);
        auto found = gateway_.reservations().all_outside({call.protocol, call.external_port});
        found.resize(std::min(found.size(), max_page_rows));
        std::vector<Row> rows;
        rows.reserve(found.size());
        for (const auto* row : found) rows.push_back(to_row(*row, surroundings()));
        return rows;
    });
}

std::uint32_t GatewayObject::Count() {
    return guarded([&] { return static_cast<std::uint32_t>(gateway_.reservations().size()); });
}

std::uint64_t GatewayObject::Generation() {
    return guarded([&] { return gateway_.generation(); });
}

void GatewayObject::List(sdbus::Result<std::vector<ConflictRow>>&& result) {
    read(std::move(result), [this] { return to_rows(gateway_.conflicts().open()); });
}

void GatewayObject::Resolve(sdbus::Result<>&& result, std::uint64_t id, std::string action,
                            Dictionary options) {
    change(std::move(result), [=, this, client = client()] {
        resolve(gateway_, id, action, parse_resolve(options), reception_.user_of(client));
        return std::tuple();
    });
}

void GatewayObject::List(sdbus::Result<std::vector<HostRow>>&& result) {
    read(std::move(result), [this] { return hosts_of(gateway_); });
}

void GatewayObject::Explain(sdbus::Result<Dictionary>&& result, std::string host,
                            std::string protocol, std::uint16_t port, std::string remote,
                            Dictionary options) {
    read(std::move(result), [=, this] {
        const auto call = parse_explain(host, protocol, port, remote, options);
        return to_dictionary(gateway_.explain(call.from, call.remote, tracer_));
    });
}

void GatewayObject::Status(sdbus::Result<Dictionary>&& result) {
    read(std::move(result), [this] {
        auto status = gateway_.status();
        for (const auto& line : static_tunnels_.warnings()) status.warnings.push_back(line);
        for (auto& line : tunnels_.warnings()) status.warnings.push_back(std::move(line));
        for (auto& line : peers_.warnings()) status.warnings.push_back(std::move(line));
        return to_dictionary(status);
    });
}

std::vector<Dictionary> GatewayObject::Wans() {
    return guarded([&] { return wans_of(gateway_.perimeter()); });
}

void GatewayObject::Create(sdbus::Result<sdbus::ObjectPath>&& result, std::string name,
                           Dictionary settings, Dictionary options) {
    change(std::move(result), [=, this] {
        const auto call = parse_create(name, settings, options);
        return create(call.name, call.settings);
    });
}

void GatewayObject::Import(sdbus::Result<sdbus::ObjectPath>&& result, std::string name,
                           std::string wg_quick_text, Dictionary options) {
    const auto text = take_secret(message(), std::move(wg_quick_text));
    change(std::move(result), [=, this] {
        const auto parsed = parse_tunnel_name(name, options);
        return create(parsed, tunnel_files_.read(text->view()));
    });
}

void GatewayObject::Invite(sdbus::Result<Dictionary>&& result, std::string tunnel,
                           Dictionary options) {
    hand_out(std::move(result), [=, this](SecretReply& reply) {
        const auto call = parse_invite(tunnel, options);
        if (call.gateway) {
            reply.append(
                {}, "line",
                invitations_.invite_gateway(call.tunnel, call.guest, call.site, call.lifetime));
            return;
        }
        const auto theirs = invitations_.invite(call.tunnel, call.guest, call.side);
        reply.append({{"public-key", to_text(theirs.private_key->public_key())},
                      {"addresses", to_texts<InterfaceAddress>(theirs.addresses)}},
                     "configuration", tunnel_files_.write(theirs));
    });
}

void GatewayObject::Join(sdbus::Result<Dictionary>&& result, std::string line, Dictionary options) {
    const auto secret = take_secret(message(), std::move(line));
    change(std::move(result), [=, this] {
        const auto call = parse_join(options);
        const auto joined = invitations_.join(secret->view(), call.name, call.site);
        tunnel_objects_.follow();
        Dictionary answer{{"tunnel", to_text(joined.tunnel)}, {"peer", to_text(joined.peer)}};
        if (joined.answer) answer["answer"] = *joined.answer;
        return answer;
    });
}

void GatewayObject::Delete(sdbus::Result<>&& result, std::string name, Dictionary options) {
    change(std::move(result), [=, this] {
        tunnels_.remove(parse_tunnel_name(name, options));
        tunnel_objects_.follow();
        return std::tuple();
    });
}

void GatewayObject::Checkpoint(sdbus::Result<std::uint64_t>&& result, std::uint32_t seconds,
                               Dictionary options) {
    change(std::move(result),
           [=, this] { return number(checkpoints_.start(parse_checkpoint(seconds, options)).id); });
}

void GatewayObject::Extend(sdbus::Result<>&& result, std::uint64_t id, std::uint32_t seconds) {
    change(std::move(result), [=, this] {
        checkpoints_.extend(CheckpointId{id}, parse_checkpoint(seconds));
        return std::tuple();
    });
}

void GatewayObject::Commit(sdbus::Result<>&& result, std::uint64_t id) {
    change(std::move(result), [=, this] {
        checkpoints_.commit(CheckpointId{id});
        return std::tuple();
    });
}

void GatewayObject::Rollback(sdbus::Result<>&& result, std::uint64_t id) {
    change(std::move(result), [=, this] {
        checkpoints_.roll_back(CheckpointId{id});
        return std::tuple();
    });
}

Dictionary GatewayObject::ActiveCheckpoint() {
    return guarded([this] { return active_checkpoint(checkpoints_); });
}

void GatewayObject::SetEnabled(sdbus::Result<>&& result, bool enabled, Dictionary options) {
    change(std::move(result), [=, this] {
        parse_no_options(options);
        gateway_.set_enabled(enabled);
        return std::tuple();
    });
}

bool GatewayObject::Enabled() {
    return guarded([this] { return gateway_.enabled(); });
}

void GatewayObject::Reload(sdbus::Result<>&& result) {
    change(std::move(result), [this] {
        reload();
        return std::tuple();
    });
}

std::string GatewayObject::Version() {
    return guarded([] { return std::string(PORTHOLE_VERSION); });
}

std::vector<std::string> GatewayObject::Features() {
    return guarded([] {
        return std::vector<std::string>{"reservations",     "address-and-port-dependent",
                                        "masquerade",       "settle",
                                        "displacement",     "status",
                                        "claims",           "hosts",
                                        "conflicts",        "wans",
                                        "explain",          "pinholes",
                                        "external-address", "nat66",
                                        "tunnels",          "invitations",
                                        "resolve",          "checkpoints",
                                        "enabled"};
    });
}

Surroundings GatewayObject::surroundings() const { return {gateway_.hosts(), gateway_.enabled()}; }

void GatewayObject::announce_tunnels_of(Origin origin) {
    for (const auto& [name, tunnel] : tunnels_.all()) {
        if (tunnel.origin == origin) tunnel_objects_.announce_settings(name);
    }
}

template <typename... Values, typename Work>
void GatewayObject::read(sdbus::Result<Values...>&& result, Work work) {
    guarded([&] { reception_.read(client(), answer(std::move(result), work)); });
}

template <typename... Values, typename Work>
void GatewayObject::change(sdbus::Result<Values...>&& result, Work work) {
    guarded([&] {
        reception_.change(client(), question(Action::manage), answer(std::move(result), work));
    });
}

template <typename... Values, typename Work>
void GatewayObject::hand_out(sdbus::Result<Values...>&& result, Work work) {
    guarded([&] {
        reception_.change(client(), question(Action::secrets),
                          secret_answer(std::move(result), message(), work));
    });
}

template <typename Value, typename Work>
void GatewayObject::change_and_settle(sdbus::Result<Value>&& result, Work work) {
    auto shared = std::make_shared<sdbus::Result<Value>>(std::move(result));
    auto call = [this, shared, work = std::move(work)](const Denial& denial) {
        try {
            auto settled = guarded([&] {
                if (denial) throw Refused(Refusal::access_denied, *denial);
                return work();
            });
            auto send = [shared, answer = std::move(settled.answer)] { reply(*shared, answer); };
            if (!settled.wait) return send();
            waiting_.push_back({gateway_.settling().ordered(), std::move(send)});
        } catch (const sdbus::Error& error) {
            send_error(*shared, error);
        }
    };
    guarded([&] { reception_.change(client(), question(Action::manage), std::move(call)); });
}

void GatewayObject::require_room() const {
    if (waiting_.size() < limits::settling) return;
    throw Refused(Refusal::busy,
                  fmt::format("{} calls wait until flows are settled: at most {} may",
                              waiting_.size(), limits::settling));
}

sdbus::ObjectPath GatewayObject::create(const InterfaceName& name, const TunnelSettings& settings) {
    tunnels_.create(name, settings);
    tunnel_objects_.follow();
    return tunnel_path(name);
}

std::vector<PerimeterInterface> GatewayObject::wans_now() const {
    auto wans = gateway_.perimeter().interfaces;
    std::erase_if(wans, [](const auto& interface) { return interface.side != Side::wan; });
    return wans;
}

const Reservation& GatewayObject::newest(const Reservation& row) const {
    const auto* now = gateway_.reservations().find(row.id);
    return now != nullptr ? *now : row;
}

const sdbus::Message& GatewayObject::message() const {
    return *getObject().getCurrentlyProcessedMessage();
}

Question GatewayObject::question(Action action) const {
    return {action, allows_interaction(message())};
}

}  // namespace porthole::dbus
