// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/service.hpp"

#include <cstdlib>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "interaction.hpp"
#include "patience.hpp"

namespace porthole::cli {
namespace {

constexpr auto service_name = "org.porthole.Gateway1";
constexpr auto object_path = "/org/porthole/Gateway1";
constexpr std::uint32_t page_rows = 500;

std::unique_ptr<sdbus::IConnection> connect() {
    try {
        return sdbus::createSystemBusConnection();
    } catch (const sdbus::Error& error) {
        const auto* address = std::getenv("DBUS_SYSTEM_BUS_ADDRESS");
        throw sdbus::Error(
            "org.freedesktop.DBus.Error.NoServer",
            fmt::format("cannot connect to the system bus{}{}: {}; is its daemon running?",
                        address != nullptr ? " at " : "", address != nullptr ? address : "",
                        error.getMessage()));
    }
}

// Whoever calls a command wants the port to be right when it returns.
Dictionary settled(Dictionary options) {
    options["settle"] = sdbus::Variant(true);
    return options;
}

}  // namespace

Service::Proxy::Proxy(sdbus::IConnection& connection)
    : ProxyInterfaces(connection, service_name, object_path) {}

void Service::Proxy::subscribe(Announced announced) {
    announced_ = std::move(announced);
    registerProxy();
}

void Service::Proxy::onChanged(const std::uint64_t& generation, const std::vector<Wire>& changed,
                               const std::vector<std::uint64_t>& removed) {
    Announcement announcement{.generation = generation, .removed = removed};
    for (const auto& row : changed) announcement.changed.push_back(to_row(row));
    announced_(announcement);
}

void Service::Proxy::onReset(const std::uint64_t& generation) {
    announced_({.generation = generation, .reset = true});
}

void Service::Proxy::onDetected(const WireConflict& conflict) {
    announced_({.conflict = to_conflict(conflict)});
}

void Service::Proxy::onResolved(const WireConflict& conflict) { onDetected(conflict); }

void Service::Proxy::onCheckpointEnded(const std::uint64_t& checkpoint, const std::string& how) {
    announced_({.checkpoint = std::pair(checkpoint, how)});
}

Service::Service() : connection_(connect()), proxy_(*connection_) {
    // Nobody sees a question that a script or a timer causes: it would wait for minutes.
    if (isatty(STDIN_FILENO) == 1) allow_interaction(*connection_, proxy_.object());
}

void Service::wait_at_most(std::chrono::milliseconds limit) {
    connection_->setMethodCallTimeout(limit);
}

Dictionary Service::status() {
    auto status = patiently([&] { return proxy_.Status(); });
    status["version"] = sdbus::Variant(proxy_.Version());
    status["features"] = sdbus::Variant(proxy_.Features());
    return status;
}

std::pair<std::vector<Row>, std::uint64_t> Service::list(const Dictionary& query) {
    constexpr int attempts = 10;
    for (int i = 0; i < attempts; ++i) {
        if (auto rows = list_once(query)) return *std::move(rows);
    }
    throw sdbus::Error("org.porthole.Gateway1.Error.Busy",
                       "the reservations change faster than they can be listed; try again later");
}

// Nothing if there was a change between two pages, which then do not fit together.
std::optional<std::pair<std::vector<Row>, std::uint64_t>> Service::list_once(
    const Dictionary& query) {
    std::vector<Row> rows;
    std::optional<std::uint64_t> first_generation;
    for (;;) {
        const auto [page, total, generation] = patiently(
            [&] { return proxy_.List(query, static_cast<std::uint32_t>(rows.size()), page_rows); });
        if (first_generation.value_or(generation) != generation) return std::nullopt;
        first_generation = generation;
        for (const auto& row : page) rows.push_back(to_row(row));
        if (page.empty() || rows.size() >= total) return std::pair(std::move(rows), generation);
    }
}

std::vector<Row> Service::owners(const Find& request) {
    std::vector<Row> rows;
    for (const auto& wire : proxy_.Find(request.protocol, request.port.value()))
        rows.push_back(to_row(wire));
    return rows;
}

Row Service::reserve(const Reserve& request) {
    return to_row(patiently([&] {
        return proxy_.Reserve(request.host, request.protocol, request.port.value(),
                              settled(request.options));
    }));
}

Row Service::change(const Change& request) {
    return to_row(patiently(
        [&] { return proxy_.Change(request.id, request.changes, settled(request.options)); }));
}

std::vector<ConflictRow> Service::conflicts() {
    std::vector<ConflictRow> conflicts;
    for (const auto& conflict : proxy_.Proxy::Conflicts::List())
        conflicts.push_back(to_conflict(conflict));
    return conflicts;
}

void Service::resolve(const ResolveConflict& request) {
    proxy_.object()
        .callMethod("Resolve")
        .onInterface(Proxy::Conflicts::INTERFACE_NAME)
        .withArguments(request.id, request.action, request.options);
}

std::vector<HostRow> Service::hosts() {
    std::vector<HostRow> hosts;
    for (const auto& host : proxy_.Proxy::Hosts::List()) hosts.push_back(to_host(host));
    return hosts;
}

Dictionary Service::explain(const Explain& request) {
    return proxy_.Explain(request.host, request.protocol, request.port.value(), request.remote, {});
}

class Service::TunnelProxy final
    : public sdbus::ProxyInterfaces<org::porthole::Gateway1::Tunnel_proxy> {
  public:
    TunnelProxy(sdbus::IConnection& connection, const sdbus::ObjectPath& path)
        : ProxyInterfaces(connection, service_name, path) {}
    ~TunnelProxy() = default;
    TunnelProxy(const TunnelProxy&) = delete;
    TunnelProxy& operator=(const TunnelProxy&) = delete;
    TunnelProxy(TunnelProxy&&) = delete;
    TunnelProxy& operator=(TunnelProxy&&) = delete;

    std::vector<PeerRow> peers() {
        std::vector<PeerRow> rows;
        for (;;) {
            const auto [page, total] = patiently(
                [&] { return ListPeers(static_cast<std::uint32_t>(rows.size()), page_rows); });
            for (const auto& peer : page) rows.push_back(to_peer(peer));
            if (page.empty() || rows.size() >= total) return rows;
        }
    }

  private:
    void onPeersChanged() override {}  // whoever asks once does not wait for others
};

Service::~Service() = default;

std::map<std::string, sdbus::ObjectPath> Service::tunnel_paths() {
    std::map<std::string, sdbus::ObjectPath> paths;
    for (const auto& [path, interfaces] : proxy_.GetManagedObjects()) {
        const auto tunnel = interfaces.find(Tunnel::INTERFACE_NAME);
        if (tunnel == interfaces.end()) continue;
        paths.emplace(tunnel->second.at("Name").get<std::string>(), path);
    }
    return paths;
}

std::unique_ptr<Service::TunnelProxy> Service::tunnel(const std::string& name) {
    const auto paths = tunnel_paths();
    const auto path = paths.find(name);
    if (path != paths.end()) return std::make_unique<TunnelProxy>(*connection_, path->second);
    throw sdbus::Error("org.porthole.Gateway1.Error.NoSuchTunnel", "there is no tunnel " + name);
}

void Service::create_tunnel(const CreateTunnel& request) {
    proxy_.Create(request.name, request.settings, {});
}

void Service::configure_tunnel(const ConfigureTunnel& request) {
    tunnel(request.name)->Configure(request.settings, {});
}

std::string Service::export_peer(const ExportPeer& request) {
    return tunnel(request.tunnel)->Export(request.public_key, request.options);
}

Dictionary Service::invite(const Invite& request) {
    return proxy_.Invite(request.tunnel, request.options);
}

Dictionary Service::join(const std::string& line, const Dictionary& options) {
    return proxy_.Join(line, options);
}

void Service::import_tunnel(const std::string& name, const std::string& text) {
    proxy_.Import(name, text, {});
}

void Service::delete_tunnel(const std::string& name) { proxy_.Delete(name, {}); }

std::vector<TunnelRow> Service::tunnels(const std::optional<std::string>& name) {
    std::vector<TunnelRow> rows;
    for (const auto& [each, path] : tunnel_paths()) {
        if (name && *name != each) continue;
        TunnelProxy proxy(*connection_, path);
        rows.push_back({each, proxy.PublicKey(), proxy.ListenPort(), proxy.Addresses(),
                        proxy.Origin(), proxy.Up(), proxy.peers()});
    }
    if (name && rows.empty()) (void)tunnel(*name);
    return rows;
}

void Service::set_peer(const std::string& name, const Dictionary& peer) {
    tunnel(name)->SetPeer(peer, {});
}

void Service::set_peers(const std::string& name, const std::vector<Dictionary>& peers) {
    tunnel(name)->SetPeers(peers, {});
}

void Service::remove_peer(const std::string& name, const std::string& public_key) {
    tunnel(name)->RemovePeer(public_key, {});
}

std::vector<std::uint64_t> Service::release(const Release& request) {
    std::vector<std::uint64_t> ids;
    for (const auto& reservation : request.reservations) {
        const auto* id = std::get_if<std::uint64_t>(&reservation);
        ids.push_back(id != nullptr ? *id : find(std::get<ExternalPort>(reservation)));
    }
    patiently([&] { proxy_.Release(ids, request.options); });
    return ids;
}

std::uint64_t Service::find(const ExternalPort& port) {
    const auto found = proxy_.Find(port.protocol, port.port.value());
    if (found.size() == 1) return to_row(found.front()).id;
    if (found.empty()) {
        throw sdbus::Error(
            "org.porthole.Gateway1.Error.NoSuchReservation",
            fmt::format("nobody owns the external {} port {}", port.protocol, port.port.value()));
    }
    std::vector<std::string> owners;
    for (const auto& wire : found) {
        const auto row = to_row(wire);
        owners.push_back(fmt::format("{} ({})", row.id, row.host));
    }
    throw sdbus::Error("org.porthole.Gateway1.Error.InvalidArgument",
                       fmt::format("{}:{} is several reservations; name one by its id: {}",
                                   port.protocol, port.port.value(), fmt::join(owners, ", ")));
}

void Service::monitor(const std::function<void(std::uint64_t)>& ready, Announced announced) {
    const auto bus =
        sdbus::createProxy(*connection_, "org.freedesktop.DBus", "/org/freedesktop/DBus");
    bus->uponSignal("NameOwnerChanged")
        .onInterface("org.freedesktop.DBus")
        .call([this](const std::string& name, const std::string& /*before*/,
                     const std::string& owner) {
            if (name == service_name && owner.empty()) connection_->leaveEventLoop();
        });
    bus->finishRegistration();
    proxy_.subscribe(std::move(announced));

    ready(proxy_.Generation());
    connection_->enterEventLoop();
    throw sdbus::Error("org.freedesktop.DBus.Error.Disconnected", "it has left the bus");
}

}  // namespace porthole::cli
