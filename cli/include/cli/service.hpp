// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include <sdbus-c++/sdbus-c++.h>

#include "cli/difference.hpp"
#include "dbus/gateway1_proxy.hpp"
#include "dbus/tunnel_proxy.hpp"

namespace porthole::cli {

/// What the service announces.
struct Announcement {
    std::uint64_t generation = 0;
    bool reset = false;  ///< everything may have changed
    std::vector<Row> changed = {};
    std::vector<std::uint64_t> removed = {};
    std::optional<ConflictRow> conflict =
        std::nullopt;  ///< that was detected or resolved; then nothing else
    /// The id of a checkpoint that has ended, and how; then nothing else.
    std::optional<std::pair<std::uint64_t, std::string>> checkpoint = std::nullopt;
};

/// The service on the system bus, or on the one that DBUS_SYSTEM_BUS_ADDRESS names. Everything
/// throws sdbus::Error.
class Service {
  public:
    using Announced = std::function<void(const Announcement&)>;

    Service();
    ~Service();
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;
    Service(Service&&) = delete;
    Service& operator=(Service&&) = delete;

    /// For every answer from now on; then the error is a timeout.
    void wait_at_most(std::chrono::milliseconds limit);
    Dictionary status();
    /// Whether the rules are to be in the kernel; true of a service that cannot take them out.
    /// All pages of a list, and the generation that they belong to.
    std::pair<std::vector<Row>, std::uint64_t> list(const Dictionary& query);
    /// Who has an external port.
    std::vector<Row> owners(const Find& request);
    /// Makes a difference to the list of this generation: all that is reserved is one change, all
    /// that is released another one. If the second one is refused, the message says so.
    void apply(const Difference& difference, std::uint64_t generation);
    Row reserve(const Reserve& request);
    Row change(const Change& request);
    std::vector<ConflictRow> conflicts();
    void resolve(const ResolveConflict& request);
    std::vector<HostRow> hosts();
    Dictionary explain(const Explain& request);
    void create_tunnel(const CreateTunnel& request);
    void configure_tunnel(const ConfigureTunnel& request);
    std::string export_peer(const ExportPeer& request);
    Dictionary invite(const Invite& request);
    Dictionary join(const std::string& line, const Dictionary& options);
    void import_tunnel(const std::string& name, const std::string& text);
    void delete_tunnel(const std::string& name);
    /// All of them, or the one of this name, with their peers.
    std::vector<TunnelRow> tunnels(const std::optional<std::string>& name);
    void set_peer(const std::string& tunnel, const Dictionary& peer);
    /// Makes these the peers of a tunnel, and no others.
    void set_peers(const std::string& tunnel, const std::vector<Dictionary>& peers);
    void remove_peer(const std::string& tunnel, const std::string& public_key);
    /// The ids of what was released.
    std::vector<std::uint64_t> release(const Release& request);
    void reload();
    void set_enabled(bool enabled);
    /// The id of the checkpoint.
    std::uint64_t start_checkpoint(std::uint32_t seconds);
    void extend_checkpoint(const ExtendCheckpoint& request);
    void end_checkpoint(const EndCheckpoint& request);
    /// Empty if there is none.
    Dictionary active_checkpoint();
    /// Calls `announced` until the service leaves the bus, which it reports by throwing. `ready` is
    /// called with the generation after which nothing is missed.
    void monitor(const std::function<void(std::uint64_t generation)>& ready, Announced announced);

  private:
    class Proxy final
        : public sdbus::ProxyInterfaces<
              org::porthole::Gateway1::Reservations_proxy, org::porthole::Gateway1::Conflicts_proxy,
              org::porthole::Gateway1::Hosts_proxy, org::porthole::Gateway1::Tunnels_proxy,
              org::porthole::Gateway1::Diagnostics_proxy, org::porthole::Gateway1::Manager_proxy,
              sdbus::ObjectManager_proxy> {
      public:
        explicit Proxy(sdbus::IConnection& connection);
        ~Proxy() { unregisterProxy(); }
        Proxy(const Proxy&) = delete;
        Proxy& operator=(const Proxy&) = delete;
        Proxy(Proxy&&) = delete;
        Proxy& operator=(Proxy&&) = delete;

        using Conflicts = org::porthole::Gateway1::Conflicts_proxy;
        using Hosts = org::porthole::Gateway1::Hosts_proxy;
        using org::porthole::Gateway1::Reservations_proxy::List;

        /// For what not every service of the contract has yet.
        sdbus::IProxy& object() { return getProxy(); }
        /// Nothing is subscribed before this is called.
        void subscribe(Announced announced);

      private:
        using Wire = sdbus::Struct<std::uint64_t, std::string, std::string, std::uint16_t,
                                   std::uint16_t, std::string, std::string, std::string,
                                   std::string, std::int64_t, std::int64_t, Dictionary>;
        void onChanged(const std::uint64_t& generation, const std::vector<Wire>& changed,
                       const std::vector<std::uint64_t>& removed) override;
        void onReset(const std::uint64_t& generation) override;
        void onChanged() override {}
        using WireConflict =
            sdbus::Struct<std::uint64_t, std::string, std::string, std::string, std::uint16_t,
                          std::int64_t, std::string, std::vector<std::string>, Dictionary>;
        void onDetected(const WireConflict& conflict) override;
        void onResolved(const WireConflict& conflict) override;
        void onCheckpointEnded(const std::uint64_t& checkpoint, const std::string& how) override;

        void onInterfacesAdded(const sdbus::ObjectPath& /*object*/,
                               const std::map<std::string, Dictionary>& /*interfaces*/) override {}
        void onInterfacesRemoved(const sdbus::ObjectPath& /*object*/,
                                 const std::vector<std::string>& /*interfaces*/) override {}

        Announced announced_;
    };

    using Tunnel = org::porthole::Gateway1::Tunnel_proxy;
    /// The object of one tunnel.
    class TunnelProxy;
    /// The objects of all tunnels, by name.
    std::map<std::string, sdbus::ObjectPath> tunnel_paths();
    /// Throws sdbus::Error, NoSuchTunnel, if there is none.
    std::unique_ptr<TunnelProxy> tunnel(const std::string& name);

    std::optional<std::pair<std::vector<Row>, std::uint64_t>> list_once(const Dictionary& query);
    std::uint64_t find(const ExternalPort& port);

    std::unique_ptr<sdbus::IConnection> connection_;
    Proxy proxy_;
};

}  // namespace porthole::cli
