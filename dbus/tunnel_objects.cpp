// SPDX-License-Identifier: GPL-2.0-or-later
#include "tunnel_objects.hpp"

#include "dbus/answers.hpp"
#include "dbus/names.hpp"
#include "dbus/replies.hpp"
#include "dbus/requests.hpp"
#include "dbus/tunnel_adaptor.hpp"

namespace porthole::dbus {

sdbus::ObjectPath tunnel_path(const InterfaceName& name) {
    return std::string(object_path) + "/tunnel/" + escaped(to_text(name));
}

class TunnelObjects::Adaptor final
    : public sdbus::AdaptorInterfaces<org::porthole::Gateway1::Tunnel_adaptor,
                                      sdbus::ManagedObject_adaptor, sdbus::Properties_adaptor> {
  public:
    Adaptor(sdbus::IConnection& connection, InterfaceName name, Tunnels& tunnels,
            Admission& admission)
        : AdaptorInterfaces(connection, tunnel_path(name)),
          name_(std::move(name)),
          tunnels_(tunnels),
          admission_(admission) {
        registerAdaptor();
        emitInterfacesAddedSignal();
    }
    ~Adaptor() { unregisterAdaptor(); }
    Adaptor(const Adaptor&) = delete;
    Adaptor& operator=(const Adaptor&) = delete;
    Adaptor(Adaptor&&) = delete;
    Adaptor& operator=(Adaptor&&) = delete;

  private:
    // What a call does may be done when this object has gone: it waits for its sender's rights.
    void SetPeer(sdbus::Result<>&& result, Dictionary peer, Dictionary options) override {
        change(std::move(result), [=, name = name_, &tunnels = tunnels_] {
            tunnels.set_peer(name, parse_peer(peer, options));
            return std::tuple();
        });
    }

    void RemovePeer(sdbus::Result<>&& result, std::string public_key, Dictionary options) override {
        change(std::move(result), [=, name = name_, &tunnels = tunnels_] {
            tunnels.remove_peer(name, parse_peer_key(public_key, options));
            return std::tuple();
        });
    }

    void ListPeers(sdbus::Result<std::vector<PeerRow>, std::uint32_t>&& result,
                   std::uint32_t offset, std::uint32_t limit) override {
        guarded([&] {
            admission_.read(client(),
                            answer(std::move(result), [=, name = name_, &tunnels = tunnels_] {
                                const auto page = parse_page(offset, limit);
                                const auto peers = tunnels.peers(name);
                                return std::tuple(to_rows(peers, page.offset, page.limit),
                                                  static_cast<std::uint32_t>(peers.size()));
                            }));
        });
    }

    std::string Name() override {
        return guarded([&] { return to_text(name_); });
    }
    std::string PublicKey() override {
        return guarded([&] { return to_text(settings().private_key->public_key()); });
    }
    std::uint16_t ListenPort() override {
        return guarded([&] { return settings().listen_port->value(); });
    }
    std::vector<std::string> Addresses() override {
        return guarded([&] {
            std::vector<std::string> addresses;
            for (const auto& address : settings().addresses) addresses.push_back(to_text(address));
            return addresses;
        });
    }
    bool Up() override {
        return guarded([&] { return tunnels_.is_up(name_); });
    }

    [[nodiscard]] const TunnelSettings& settings() const { return tunnels_.find(name_).settings; }

    template <typename... Values, typename Work>
    void change(sdbus::Result<Values...>&& result, Work work) {
        guarded([&] { admission_.change(client(), answer(std::move(result), std::move(work))); });
    }

    [[nodiscard]] std::string client() const {
        return getObject().getCurrentlyProcessedMessage()->getSender();
    }

    InterfaceName name_;
    Tunnels& tunnels_;
    Admission& admission_;
};

TunnelObjects::TunnelObjects(sdbus::IConnection& connection, Tunnels& tunnels, Admission& admission)
    : connection_(connection), tunnels_(tunnels), admission_(admission) {}

TunnelObjects::~TunnelObjects() = default;

void TunnelObjects::follow() {
    std::erase_if(adaptors_, [this](const auto& each) {
        const bool gone = !tunnels_.all().contains(each.first);
        if (gone) each.second->emitInterfacesRemovedSignal();
        return gone;
    });
    for (const auto& [name, tunnel] : tunnels_.all()) {
        if (adaptors_.contains(name)) continue;
        adaptors_.emplace(name, std::make_unique<Adaptor>(connection_, name, tunnels_, admission_));
    }
}

}  // namespace porthole::dbus
