// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <deque>
#include <functional>
#include <span>

#include <sdbus-c++/sdbus-c++.h>

#include "dbus/gateway1_adaptor.hpp"
#include "dbus/reception.hpp"
#include "dbus/replies.hpp"
#include "dbus/service.hpp"
#include "tunnel_objects.hpp"

namespace porthole::dbus {

/// The gateway's object on the bus.
class GatewayObject final
    : public sdbus::AdaptorInterfaces<
          org::porthole::Gateway1::Reservations_adaptor, org::porthole::Gateway1::Conflicts_adaptor,
          org::porthole::Gateway1::Hosts_adaptor, org::porthole::Gateway1::Tunnels_adaptor,
          org::porthole::Gateway1::Diagnostics_adaptor, org::porthole::Gateway1::Manager_adaptor,
          sdbus::ObjectManager_adaptor> {
  public:
    using org::porthole::Gateway1::Hosts_adaptor::emitChanged;

    GatewayObject(sdbus::IConnection& connection, const UseCases& use_cases,
                  Service::ReadConfiguration read_configuration, Service::TunnelFiles tunnel_files);
    ~GatewayObject() { unregisterAdaptor(); }
    GatewayObject(const GatewayObject&) = delete;
    GatewayObject& operator=(const GatewayObject&) = delete;
    GatewayObject(GatewayObject&&) = delete;
    GatewayObject& operator=(GatewayObject&&) = delete;

    /// Emits Reservations.Changed.
    void announce(std::uint64_t generation, std::span<const Reservation* const> changed,
                  const std::vector<std::uint64_t>& removed);
    /// Announce what has changed since the last call.
    void announce_wans();
    void announce_enabled();
    void announce_checkpoints();
    /// Emits Tunnel.PeersChanged; when the next one is due that waits.
    std::optional<std::chrono::steady_clock::time_point> announce_peers() {
        return tunnel_objects_.announce();
    }
    /// Reads the configuration again, as Reload() does. What that throws is for the caller.
    void reload();
    /// Sends the answers that have waited for flows to be settled and need not any more.
    void answer_settled();
    [[nodiscard]] Reception& reception() { return reception_; }

  private:
    // Reservations
    void Reserve(sdbus::Result<Row>&& result, std::string host, std::string protocol,
                 std::uint16_t internal_port, Dictionary options) override;
    void ReserveMany(sdbus::Result<std::vector<ReservedRow>>&& result, std::vector<RequestRow> rows,
                     Dictionary options) override;
    void Change(sdbus::Result<Row>&& result, std::uint64_t id, Dictionary changes,
                Dictionary options) override;
    void Release(sdbus::Result<>&& result, std::vector<std::uint64_t> ids,
                 Dictionary options) override;
    void List(sdbus::Result<std::vector<Row>, std::uint32_t, std::uint64_t>&& result,
              Dictionary query, std::uint32_t offset, std::uint32_t limit) override;
    void Find(sdbus::Result<std::vector<Row>>&& result, std::string protocol,
              std::uint16_t external_port) override;
    std::uint32_t Count() override;
    std::uint64_t Generation() override;

    // Conflicts
    void List(sdbus::Result<std::vector<ConflictRow>>&& result) override;
    void Resolve(sdbus::Result<>&& result, std::uint64_t id, std::string action,
                 Dictionary options) override;

    // Hosts
    void List(sdbus::Result<std::vector<HostRow>>&& result) override;

    // Diagnostics
    void Explain(sdbus::Result<Dictionary>&& result, std::string host, std::string protocol,
                 std::uint16_t port, std::string remote, Dictionary options) override;
    void Status(sdbus::Result<Dictionary>&& result) override;
    std::vector<Dictionary> Wans() override;

    // Tunnels
    void Create(sdbus::Result<sdbus::ObjectPath>&& result, std::string name, Dictionary settings,
                Dictionary options) override;
    void Import(sdbus::Result<sdbus::ObjectPath>&& result, std::string name,
                std::string wg_quick_text, Dictionary options) override;
    void Invite(sdbus::Result<Dictionary>&& result, std::string tunnel,
                Dictionary options) override;
    void Join(sdbus::Result<Dictionary>&& result, std::string line, Dictionary options) override;
    void Delete(sdbus::Result<>&& result, std::string name, Dictionary options) override;

    // Manager
    void Checkpoint(sdbus::Result<std::uint64_t>&& result, std::uint32_t seconds,
                    Dictionary options) override;
    void Extend(sdbus::Result<>&& result, std::uint64_t id, std::uint32_t seconds) override;
    void Commit(sdbus::Result<>&& result, std::uint64_t id) override;
    void Rollback(sdbus::Result<>&& result, std::uint64_t id) override;
    Dictionary ActiveCheckpoint() override;
    void SetEnabled(sdbus::Result<>&& result, bool enabled, Dictionary options) override;
    bool Enabled() override;
    void Reload(sdbus::Result<>&& result) override;
    std::string Version() override;
    std::vector<std::string> Features() override;

    [[nodiscard]] Surroundings surroundings() const;
    void announce_tunnels_of(Origin origin);

    // Every method goes through one of these, every property through guarded().
    template <typename... Values, typename Work>
    void read(sdbus::Result<Values...>&& result, Work work);
    template <typename... Values, typename Work>
    void change(sdbus::Result<Values...>&& result, Work work);
    template <typename... Values, typename Work>
    void hand_out(sdbus::Result<Values...>&& result, Work work);
    template <typename Value, typename Work>
    void change_and_settle(sdbus::Result<Value>&& result, Work work);

    void require_room() const;
    sdbus::ObjectPath create(const InterfaceName& name, const TunnelSettings& settings);
    [[nodiscard]] std::vector<PerimeterInterface> wans_now() const;
    /// The row as it is now; as it was if it has been released meanwhile.
    [[nodiscard]] const Reservation& newest(const Reservation& row) const;
    /// The call that is being handled.
    [[nodiscard]] const sdbus::Message& message() const;
    /// The unique name of its sender.
    [[nodiscard]] std::string client() const { return message().getSender(); }
    [[nodiscard]] Question question(Action action) const;

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
    Service::ReadConfiguration read_configuration_;
    Service::TunnelFiles tunnel_files_;
    Reception reception_;
    TunnelObjects tunnel_objects_;
    std::deque<Waiting> waiting_;  ///< oldest order first
    std::uint64_t perimeter_version_ = gateway_.perimeter_version();
    std::uint64_t checkpoint_version_ = checkpoints_.version();
    bool enabled_ = gateway_.enabled();
    std::vector<PerimeterInterface> wans_ = wans_now();  ///< as they were announced
};

}  // namespace porthole::dbus
