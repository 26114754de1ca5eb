// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/service.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <functional>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sdbus-c++/sdbus-c++.h>
#include <systemd/sd-bus.h>

#include "core/log.hpp"
#include "core/resolution.hpp"
#include "dbus/answers.hpp"
#include "dbus/gateway1_adaptor.hpp"
#include "dbus/limits.hpp"
#include "dbus/message.hpp"
#include "dbus/names.hpp"
#include "dbus/reception.hpp"
#include "dbus/replies.hpp"
#include "dbus/requests.hpp"
#include "dbus/tunnel_requests.hpp"
#include "tunnel_objects.hpp"

namespace porthole::dbus {
namespace {

// What changes within this time is announced with one signal.
constexpr auto announcement_interval = std::chrono::milliseconds(50);
// Every answer waits for what a busy bus has not taken yet: a little at a time, then.
constexpr auto interval_of_parts = std::chrono::milliseconds(10);
constexpr std::size_t rows_of_a_part = 16;
// Everybody lists anew then.
constexpr auto reset_interval = std::chrono::seconds(1);

constexpr auto host_announcement_interval = std::chrono::seconds(1);

// Who makes several calls one after the other makes the next one within this time.
constexpr auto time_of_an_answer = std::chrono::microseconds(100);

// So many messages are served before other sources of events have their turn.
constexpr int messages_per_turn = 64;

std::unique_ptr<sdbus::IConnection> connect() {
    try {
        return sdbus::createSystemBusConnection();
    } catch (const sdbus::Error& error) {
        const auto* address = std::getenv("DBUS_SYSTEM_BUS_ADDRESS");
        throw BusFailure(
            fmt::format("cannot connect to the system bus{}{}: {}; is its daemon running?",
                        address != nullptr ? " at " : "", address != nullptr ? address : "",
                        error.getMessage()));
    }
}

// The process that has the name of the service, or "another process"; nothing if nobody has it.
std::optional<std::string> owner_of_name(sdbus::IConnection& connection) {
    const auto bus = sdbus::createProxy(connection, bus_name, bus_path);
    bool owned = false;
    bus->callMethod("NameHasOwner")
        .onInterface(bus_name)
        .withArguments(service_name)
        .storeResultsTo(owned);
    if (!owned) return std::nullopt;
    try {
        std::uint32_t process = 0;
        bus->callMethod("GetConnectionUnixProcessID")
            .onInterface(bus_name)
            .withArguments(service_name)
            .storeResultsTo(process);
        return fmt::format("process {}", process);
    } catch (const sdbus::Error&) {
        return "another process";
    }
}

}  // namespace

Bus::Bus() : connection_(connect()) {
    try {
        if (const auto owner = owner_of_name(*connection_)) {
            throw BusFailure(fmt::format("{} is owned by {}: the service is running already",
                                         service_name, *owner));
        }
    } catch (const sdbus::Error& error) {
        throw BusFailure(fmt::format("the system bus does not say who owns {}: {}", service_name,
                                     error.getMessage()));
    }
}

Bus::~Bus() = default;

/// The object on the bus. Methods go through read() or change(), properties through guarded().
class Service::Adaptor final
    : public sdbus::AdaptorInterfaces<
          org::porthole::Gateway1::Reservations_adaptor, org::porthole::Gateway1::Conflicts_adaptor,
          org::porthole::Gateway1::Hosts_adaptor, org::porthole::Gateway1::Tunnels_adaptor,
          org::porthole::Gateway1::Diagnostics_adaptor, org::porthole::Gateway1::Manager_adaptor,
          sdbus::ObjectManager_adaptor> {
  public:
    using org::porthole::Gateway1::Hosts_adaptor::emitChanged;

    Adaptor(sdbus::IConnection& connection, const UseCases& use_cases,
            ReadConfiguration read_configuration, TunnelFiles tunnel_files)
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
          tunnel_objects_(connection, tunnels_, invitations_, peers_, tunnel_files_.write,
                          reception_) {
        registerAdaptor();
        tunnel_objects_.follow();
    }
    ~Adaptor() { unregisterAdaptor(); }
    Adaptor(const Adaptor&) = delete;
    Adaptor& operator=(const Adaptor&) = delete;
    Adaptor(Adaptor&&) = delete;
    Adaptor& operator=(Adaptor&&) = delete;

    /// Emits Reservations.Changed.
    void announce(std::uint64_t generation, std::span<const Reservation* const> changed,
                  const std::vector<std::uint64_t>& removed) {
        using org::porthole::Gateway1::Reservations_adaptor;
        auto signal = getObject().createSignal(Reservations_adaptor::INTERFACE_NAME, "Changed");
        signal << generation;
        append(signal, changed, surroundings());
        signal << removed;
        getObject().emitSignal(signal);
    }

    void announce_wans() {
        if (std::exchange(perimeter_version_, gateway_.perimeter_version()) ==
            gateway_.perimeter_version()) {
            return;
        }
        // Some changes are of the LANs only.
        auto wans = wans_now();
        if (std::exchange(wans_, wans) == wans) return;
        getObject().emitPropertiesChangedSignal("org.porthole.Gateway1.Diagnostics", {"Wans"});
    }

    void announce_enabled() {
        if (std::exchange(enabled_, gateway_.enabled()) == gateway_.enabled()) return;
        getObject().emitPropertiesChangedSignal("org.porthole.Gateway1.Manager", {"Enabled"});
    }

    void announce_checkpoints() {
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
        getObject().emitPropertiesChangedSignal("org.porthole.Gateway1.Manager",
                                                {"ActiveCheckpoint"});
    }

    /// Emits Tunnel.PeersChanged; when the next one is due that waits.
    std::optional<Clock::time_point> announce_peers() { return tunnel_objects_.announce(); }

    void reload() {
        static_tunnels_.reload(read_configuration_());
        tunnel_objects_.follow();
        announce_tunnels_of(Origin::configured);
    }

    /// Sends the answers that have waited for flows to be settled and need not any more.
    void answer_settled() {
        const auto reported = gateway_.settling().reported();
        while (!waiting_.empty() && waiting_.front().order <= reported) {
            const auto send = std::move(waiting_.front().send);
            waiting_.pop_front();
            send();
        }
    }

    [[nodiscard]] Reception& reception() { return reception_; }

  private:
    void Reserve(sdbus::Result<Row>&& result, std::string host, std::string protocol,
                 std::uint16_t internal_port, Dictionary options) override {
        change_and_settle(std::move(result), [=, this, client = client()] {
            auto call = parse_reserve(host, protocol, internal_port, options);
            if (call.settle) require_room();
            call.request.user = reception_.user_of(client);
            const auto row = gateway_.reserve(call.request, call.if_generation);
            return Settled(call.settle,
                           [this, row] { return to_row(newest(row), surroundings()); });
        });
    }

    void ReserveMany(sdbus::Result<std::vector<ReservedRow>>&& result, std::vector<RequestRow> rows,
                     Dictionary options) override {
        change_and_settle(
            std::move(result), [this, client = client(), rows = std::move(rows), options] {
                auto call = parse_reserve_many(rows, options);
                if (call.settle) require_room();
                const auto user = reception_.user_of(client);
                for (auto& request : call.requests) request.user = user;
                std::vector<ReservedRow> reserved;
                reserved.reserve(call.requests.size());
                for (const auto& [id, port] :
                     gateway_.reserve_many(call.requests, call.if_generation)) {
                    reserved.emplace_back(number(id), port.value());
                }
                return Settled(call.settle, [reserved = std::move(reserved)] { return reserved; });
            });
    }

    void Change(sdbus::Result<Row>&& result, std::uint64_t id, Dictionary changes,
                Dictionary options) override {
        change_and_settle(std::move(result), [=, this] {
            const auto call = parse_change(id, changes, options);
            if (call.settle) require_room();
            const auto row = gateway_.change(call.id, call.changes, call.if_generation);
            return Settled(call.settle,
                           [this, row] { return to_row(newest(row), surroundings()); });
        });
    }

    void Release(sdbus::Result<>&& result, std::vector<std::uint64_t> ids,
                 Dictionary options) override {
        change(std::move(result), [this, ids = std::move(ids), options] {
            const auto call = parse_release(ids, options);
            gateway_.release(call.ids, call.if_generation);
            return std::tuple();
        });
    }

    void List(sdbus::Result<std::vector<Row>, std::uint32_t, std::uint64_t>&& result,
              Dictionary query, std::uint32_t offset, std::uint32_t limit) override {
        read(std::move(result), [=, this] {
            auto call = parse_list(query, offset, limit);
            call.query.all_wait = !gateway_.enabled();
            const auto page = list(gateway_.reservations(), call.query, call.offset, call.limit);
            return std::tuple(to_rows(page.rows, surroundings()),
                              static_cast<std::uint32_t>(page.total), gateway_.generation());
        });
    }

    void List(sdbus::Result<std::vector<ConflictRow>>&& result) override {
        read(std::move(result), [this] { return to_rows(gateway_.conflicts().open()); });
    }

    void Resolve(sdbus::Result<>&& result, std::uint64_t id, std::string action,
                 Dictionary options) override {
        change(std::move(result), [=, this] {
            resolve(gateway_, id, action, parse_resolve(options));
            return std::tuple();
        });
    }

    void List(sdbus::Result<std::vector<HostRow>>&& result) override {
        read(std::move(result), [this] { return hosts_of(gateway_); });
    }

    void Find(sdbus::Result<std::vector<Row>>&& result, std::string protocol,
              std::uint16_t external_port) override {
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

    void Explain(sdbus::Result<Dictionary>&& result, std::string host, std::string protocol,
                 std::uint16_t port, std::string remote, Dictionary options) override {
        read(std::move(result), [=, this] {
            const auto call = parse_explain(host, protocol, port, remote, options);
            return to_dictionary(gateway_.explain(call.from, call.remote, tracer_));
        });
    }

    void Create(sdbus::Result<sdbus::ObjectPath>&& result, std::string name, Dictionary settings,
                Dictionary options) override {
        change(std::move(result), [=, this] {
            const auto call = parse_create(name, settings, options);
            return create(call.name, call.settings);
        });
    }

    void Import(sdbus::Result<sdbus::ObjectPath>&& result, std::string name,
                std::string wg_quick_text, Dictionary options) override {
        const auto text = take_secret(message(), std::move(wg_quick_text));
        change(std::move(result), [=, this] {
            const auto parsed = parse_tunnel_name(name, options);
            return create(parsed, tunnel_files_.read(text->view()));
        });
    }

    void Invite(sdbus::Result<Dictionary>&& result, std::string tunnel,
                Dictionary options) override {
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

    void Join(sdbus::Result<Dictionary>&& result, std::string line, Dictionary options) override {
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

    void Delete(sdbus::Result<>&& result, std::string name, Dictionary options) override {
        change(std::move(result), [=, this] {
            tunnels_.remove(parse_tunnel_name(name, options));
            tunnel_objects_.follow();
            return std::tuple();
        });
    }

    void Checkpoint(sdbus::Result<std::uint64_t>&& result, std::uint32_t seconds,
                    Dictionary options) override {
        change(std::move(result), [=, this] {
            return number(checkpoints_.start(parse_checkpoint(seconds, options)).id);
        });
    }

    void Extend(sdbus::Result<>&& result, std::uint64_t id, std::uint32_t seconds) override {
        change(std::move(result), [=, this] {
            checkpoints_.extend(CheckpointId{id}, parse_checkpoint(seconds));
            return std::tuple();
        });
    }

    void Commit(sdbus::Result<>&& result, std::uint64_t id) override {
        change(std::move(result), [=, this] {
            checkpoints_.commit(CheckpointId{id});
            return std::tuple();
        });
    }

    void Rollback(sdbus::Result<>&& result, std::uint64_t id) override {
        change(std::move(result), [=, this] {
            checkpoints_.roll_back(CheckpointId{id});
            return std::tuple();
        });
    }

    Dictionary ActiveCheckpoint() override {
        return guarded([this] { return active_checkpoint(checkpoints_); });
    }

    void SetEnabled(sdbus::Result<>&& result, bool enabled, Dictionary options) override {
        change(std::move(result), [=, this] {
            parse_no_options(options);
            gateway_.set_enabled(enabled);
            return std::tuple();
        });
    }

    bool Enabled() override {
        return guarded([this] { return gateway_.enabled(); });
    }

    void Reload(sdbus::Result<>&& result) override {
        change(std::move(result), [this] {
            reload();
            return std::tuple();
        });
    }

    void Status(sdbus::Result<Dictionary>&& result) override {
        read(std::move(result), [this] {
            auto status = gateway_.status();
            for (const auto& line : static_tunnels_.warnings()) status.warnings.push_back(line);
            for (auto& line : tunnels_.warnings()) status.warnings.push_back(std::move(line));
            for (auto& line : peers_.warnings()) status.warnings.push_back(std::move(line));
            return to_dictionary(status);
        });
    }

    std::uint32_t Count() override {
        return guarded([&] { return static_cast<std::uint32_t>(gateway_.reservations().size()); });
    }
    std::uint64_t Generation() override {
        return guarded([&] { return gateway_.generation(); });
    }
    std::vector<Dictionary> Wans() override {
        return guarded([&] { return wans_of(gateway_.perimeter()); });
    }
    std::string Version() override {
        return guarded([] { return std::string(PORTHOLE_VERSION); });
    }
    std::vector<std::string> Features() override {
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

    [[nodiscard]] Surroundings surroundings() const {
        return {gateway_.hosts(), gateway_.enabled()};
    }

    void announce_tunnels_of(Origin origin) {
        for (const auto& [name, tunnel] : tunnels_.all()) {
            if (tunnel.origin == origin) tunnel_objects_.announce_settings(name);
        }
    }

    template <typename... Values, typename Work>
    void read(sdbus::Result<Values...>&& result, Work work) {
        guarded([&] { reception_.read(client(), answer(std::move(result), work)); });
    }

    template <typename... Values, typename Work>
    void change(sdbus::Result<Values...>&& result, Work work) {
        guarded([&] {
            reception_.change(client(), question(Action::manage), answer(std::move(result), work));
        });
    }

    template <typename... Values, typename Work>
    void hand_out(sdbus::Result<Values...>&& result, Work work) {
        guarded([&] {
            reception_.change(client(), question(Action::secrets),
                              secret_answer(std::move(result), message(), work));
        });
    }

    /// The answer to a change, made up when it is sent.
    template <typename Answer>
    struct Settled {
        // clang 14 does not deduce the template arguments of aggregates.
        Settled(bool wait_for_flows, Answer made_up)
            : wait(wait_for_flows), answer(std::move(made_up)) {}
        bool wait;  ///< send it only when the flows are settled
        Answer answer;
    };

    template <typename Value, typename Work>
    void change_and_settle(sdbus::Result<Value>&& result, Work work) {
        auto shared = std::make_shared<sdbus::Result<Value>>(std::move(result));
        auto call = [this, shared, work = std::move(work)](const Denial& denial) {
            try {
                auto settled = guarded([&] {
                    if (denial) throw Refused(Refusal::access_denied, *denial);
                    return work();
                });
                auto send = [shared, answer = std::move(settled.answer)] {
                    reply(*shared, answer);
                };
                if (!settled.wait) return send();
                waiting_.push_back({gateway_.settling().ordered(), std::move(send)});
            } catch (const sdbus::Error& error) {
                send_error(*shared, error);
            }
        };
        guarded([&] { reception_.change(client(), question(Action::manage), std::move(call)); });
    }

    void require_room() const {
        if (waiting_.size() < limits::settling) return;
        throw Refused(Refusal::busy,
                      fmt::format("{} calls wait until flows are settled: at most {} may",
                                  waiting_.size(), limits::settling));
    }

    sdbus::ObjectPath create(const InterfaceName& name, const TunnelSettings& settings) {
        tunnels_.create(name, settings);
        tunnel_objects_.follow();
        return tunnel_path(name);
    }

    [[nodiscard]] std::vector<PerimeterInterface> wans_now() const {
        auto wans = gateway_.perimeter().interfaces;
        std::erase_if(wans, [](const auto& interface) { return interface.side != Side::wan; });
        return wans;
    }

    /// The row as it is now; as it was if it has been released meanwhile.
    [[nodiscard]] const Reservation& newest(const Reservation& row) const {
        const auto* now = gateway_.reservations().find(row.id);
        return now != nullptr ? *now : row;
    }

    /// The call that is being handled.
    [[nodiscard]] const sdbus::Message& message() const {
        return *getObject().getCurrentlyProcessedMessage();
    }
    /// The unique name of its sender.
    [[nodiscard]] std::string client() const { return message().getSender(); }

    [[nodiscard]] Question question(Action action) const {
        return {action, allows_interaction(message())};
    }

    /// An answer that is sent when the settler has reported on an order.
    struct Waiting {
        std::uint64_t order;
        std::function<void()> send;
    };

    Gateway& gateway_;
    Tunnels& tunnels_;
    Invitations& invitations_;
    PeerWatch& peers_;
    StaticTunnels& static_tunnels_;
    Checkpoints& checkpoints_;
    Tracer& tracer_;
    ReadConfiguration read_configuration_;
    TunnelFiles tunnel_files_;
    Reception reception_;
    TunnelObjects tunnel_objects_;
    std::deque<Waiting> waiting_;  ///< oldest order first
    std::uint64_t perimeter_version_ = gateway_.perimeter_version();
    std::uint64_t checkpoint_version_ = checkpoints_.version();
    bool enabled_ = gateway_.enabled();
    std::vector<PerimeterInterface> wans_ = wans_now();  ///< as they were announced
};

Service::Service(Bus& bus, const UseCases& use_cases, ReadConfiguration read_configuration,
                 TunnelFiles tunnel_files)
    : bus_(bus),
      gateway_(use_cases.gateway),
      adaptor_(std::make_unique<Adaptor>(bus.connection(), use_cases, std::move(read_configuration),
                                         std::move(tunnel_files))) {}

Service::~Service() = default;

void Service::reload() { adaptor_->reload(); }

void Service::request_name() {
    try {
        bus_.connection().requestName(service_name);
    } catch (const sdbus::Error& error) {
        throw BusFailure(
            fmt::format("the system bus does not let us own {}: {}; is its policy "
                        "installed, and no other daemon running?",
                        service_name, error.getMessage()));
    }
}

Interest Service::prepare() {
    try {
        // sdbus-c++ 1.2 may have read messages that poll() will not report again, and what it waits
        // for changes with every one that it handles and every one that it sends.
        bool more = true;
        int handled = 0;
        bus_is_busy_ = adaptor_->reception().untaken_bytes() > 0;
        while (more && handled < messages_per_turn) {
            if (const auto time = adaptor_->reception().held_up()) return held_up(*time);
            more = bus_.connection().processPendingRequest();
            adaptor_->reception().handled();
            if (more) ++handled;
        }
        adaptor_->answer_settled();
        announce_changes();
        adaptor_->announce_wans();
        adaptor_->announce_enabled();
        adaptor_->announce_checkpoints();
        announce_hosts();
        const auto next_peer_announcement = adaptor_->announce_peers();
        const auto next_refusal = adaptor_->reception().refuse_late();
        for (const auto& conflict : gateway_.conflicts().take_news()) {
            const auto row = to_row(conflict);
            conflict.state == ConflictState::open ? adaptor_->emitDetected(row)
                                                  : adaptor_->emitResolved(row);
        }

        const auto wanted = bus_.connection().getEventLoopPollData();
        Interest interest{wanted.fd, wanted.events, std::nullopt};
        if (handled > 0) interest.linger = time_of_an_answer;
        const auto at_most = [&](Clock::duration time) {
            const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(time);
            const auto timeout = std::max(milliseconds, std::chrono::milliseconds(0));
            interest.timeout = std::min(interest.timeout.value_or(timeout), timeout);
        };
        if (more) at_most(Clock::duration::zero());
        if (const auto timeout = wanted.getRelativeTimeout()) at_most(*timeout);
        if (hosts_version_ != gateway_.hosts_version()) {
            at_most(next_host_announcement_ - Clock::now());
        }
        if (next_peer_announcement) at_most(*next_peer_announcement - Clock::now());
        if (next_refusal) at_most(*next_refusal - Clock::now());
        if (!gateway_.journal().empty()) at_most(next_announcement_ - Clock::now());
        return interest;
    } catch (const sdbus::Error& error) {
        throw BusFailure(fmt::format("the system bus has gone: {}", error.getMessage()));
    }
}

// What is served now would have to be kept until the bus takes it, and so would every signal.
Interest Service::held_up(Clock::duration time) {
    const auto left = limits::time_to_take_a_message - time;
    if (left <= Clock::duration::zero()) {
        // Else its end would wait until the bus has taken everything.
        sd_bus_close(bus_of(bus_.connection()));
        throw BusFailure(
            fmt::format("the system bus has taken no message for {} s, as a client of "
                        "it reads none",
                        limits::time_to_take_a_message.count()));
    }
    return {bus_.connection().getEventLoopPollData().fd, POLLOUT,
            std::chrono::ceil<std::chrono::milliseconds>(left)};
}

void Service::announce_hosts() {
    if (Clock::now() < next_host_announcement_ || hosts_version_ == gateway_.hosts_version())
        return;
    next_host_announcement_ = Clock::now() + host_announcement_interval;
    hosts_version_ = gateway_.hosts_version();
    adaptor_->emitChanged();
}

void Service::announce_changes() {
    if (gateway_.journal().empty()) return;
    if (Clock::now() < next_announcement_) return;
    auto& unread = adaptor_->reception().unread();
    unread.look(Clock::now());
    const bool too_much = unread.is_too_much();
    const bool in_parts = bus_is_busy_ && !too_much;
    next_announcement_ = Clock::now() + (too_much   ? reset_interval
                                         : in_parts ? interval_of_parts
                                                    : announcement_interval);
    const auto changes = gateway_.journal().drain(in_parts ? rows_of_a_part : Journal::max_rows);
    // Who has heard a part has not heard of all that makes this generation.
    if (gateway_.journal().empty()) announced_ = gateway_.generation();
    if (changes.reset || too_much) return adaptor_->emitReset(gateway_.generation());
    std::vector<const Reservation*> changed;
    for (const auto id : changes.changed) {
        if (const auto* row = gateway_.reservations().find(id)) changed.push_back(row);
    }
    std::vector<std::uint64_t> removed;
    for (const auto id : changes.removed) removed.push_back(number(id));
    adaptor_->announce(announced_, changed, removed);
}

}  // namespace porthole::dbus
