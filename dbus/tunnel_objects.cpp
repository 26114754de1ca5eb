// SPDX-License-Identifier: GPL-2.0-or-later
#include "tunnel_objects.hpp"

#include <algorithm>

#include "dbus/answers.hpp"
#include "dbus/message.hpp"
#include "dbus/names.hpp"
#include "dbus/replies.hpp"
#include "dbus/requests.hpp"
#include "dbus/tunnel_adaptor.hpp"
#include "dbus/tunnel_requests.hpp"

namespace porthole::dbus {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds announcement_interval{1};

}  // namespace

sdbus::ObjectPath tunnel_path(const InterfaceName& name) {
    return std::string(object_path) + "/tunnel/" + escaped(to_text(name));
}

class TunnelObjects::Adaptor final
    : public sdbus::AdaptorInterfaces<org::porthole::Gateway1::Tunnel_adaptor,
                                      sdbus::ManagedObject_adaptor, sdbus::Properties_adaptor> {
  public:
    Adaptor(InterfaceName name, TunnelObjects& objects)
        : AdaptorInterfaces(objects.connection_, tunnel_path(name)),
          name_(std::move(name)),
          objects_(objects),
          tunnels_(objects.tunnels_) {
        registerAdaptor();
        emitInterfacesAddedSignal();
    }
    ~Adaptor() { unregisterAdaptor(); }
    Adaptor(const Adaptor&) = delete;
    Adaptor& operator=(const Adaptor&) = delete;
    Adaptor(Adaptor&&) = delete;
    Adaptor& operator=(Adaptor&&) = delete;

    void announce_settings() {
        emitPropertiesChangedSignal(org::porthole::Gateway1::Tunnel_adaptor::INTERFACE_NAME);
    }

    std::optional<Clock::time_point> announce() {
        const auto version = objects_.peers_.version(name_);
        if (version == announced_) return std::nullopt;
        const auto now = Clock::now();
        if (now < next_announcement_) return next_announcement_;
        announced_ = version;
        next_announcement_ = now + announcement_interval;
        emitPeersChanged();
        return std::nullopt;
    }

  private:
    // What a call does may be done when this object has gone: it waits for its sender's rights.
    void SetPeer(sdbus::Result<>&& result, Dictionary peer, Dictionary options) override {
        change(std::move(result), [=, name = name_, &tunnels = tunnels_] {
            tunnels.set_peer(name, parse_peer(peer, options));
            return std::tuple();
        });
    }

    void SetPeers(sdbus::Result<>&& result, std::vector<Dictionary> peers,
                  Dictionary options) override {
        change(std::move(result), [=, name = name_, &tunnels = tunnels_] {
            tunnels.set_peers(name, parse_peers(peers, options));
            return std::tuple();
        });
    }

    void Configure(sdbus::Result<>&& result, Dictionary settings, Dictionary options) override {
        change(std::move(result), [=, name = name_, &objects = objects_] {
            objects.tunnels_.configure(name, parse_configure(settings, options));
            objects.announce_settings(name);
            return std::tuple();
        });
    }

    void Export(sdbus::Result<std::string>&& result, std::string public_key,
                Dictionary options) override {
        hand_out(std::move(result), [=, name = name_, &objects = objects_](SecretReply& reply) {
            const auto call = parse_export(public_key, options);
            const auto theirs = objects.invitations_.exported(name, call.peer, call.side);
            reply.append(objects.write_tunnel_file_(theirs));
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
            objects_.reception_.read(
                client(), answer(std::move(result), [=, name = name_, &tunnels = tunnels_] {
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
    std::string Origin() override {
        return guarded([&] { return to_text(tunnels_.find(name_).origin); });
    }
    bool Up() override {
        return guarded([&] { return tunnels_.is_up(name_); });
    }

    [[nodiscard]] const TunnelSettings& settings() const { return tunnels_.find(name_).settings; }

    template <typename... Values, typename Work>
    void change(sdbus::Result<Values...>&& result, Work work) {
        guarded([&] {
            objects_.reception_.change(client(), question(Action::manage),
                                       answer(std::move(result), std::move(work)));
        });
    }

    template <typename... Values, typename Work>
    void hand_out(sdbus::Result<Values...>&& result, Work work) {
        guarded([&] {
            objects_.reception_.change(
                client(), question(Action::secrets),
                secret_answer(std::move(result), message(), std::move(work)));
        });
    }

    [[nodiscard]] const sdbus::Message& message() const {
        return *getObject().getCurrentlyProcessedMessage();
    }
    [[nodiscard]] std::string client() const { return message().getSender(); }
    [[nodiscard]] Question question(Action action) const {
        return {action, allows_interaction(message())};
    }

    InterfaceName name_;
    TunnelObjects& objects_;
    Tunnels& tunnels_;
    std::uint64_t announced_ = objects_.peers_.version(name_);
    Clock::time_point next_announcement_;  ///< not before this
};

TunnelObjects::TunnelObjects(sdbus::IConnection& connection, Tunnels& tunnels,
                             Invitations& invitations, PeerWatch& peers,
                             WriteTunnelFile write_tunnel_file, Reception& reception)
    : connection_(connection),
      tunnels_(tunnels),
      invitations_(invitations),
      peers_(peers),
      write_tunnel_file_(std::move(write_tunnel_file)),
      reception_(reception) {}

TunnelObjects::~TunnelObjects() = default;

// It may have gone while the call waited for its sender's rights.
void TunnelObjects::announce_settings(const InterfaceName& name) {
    const auto adaptor = adaptors_.find(name);
    if (adaptor != adaptors_.end()) adaptor->second->announce_settings();
}

void TunnelObjects::follow() {
    std::erase_if(adaptors_, [this](const auto& each) {
        const bool gone = !tunnels_.all().contains(each.first);
        if (gone) each.second->emitInterfacesRemovedSignal();
        return gone;
    });
    for (const auto& [name, tunnel] : tunnels_.all()) {
        if (adaptors_.contains(name)) continue;
        adaptors_.emplace(name, std::make_unique<Adaptor>(name, *this));
    }
}

std::optional<Clock::time_point> TunnelObjects::announce() {
    std::optional<Clock::time_point> next;
    for (const auto& [name, adaptor] : adaptors_) {
        const auto due = adaptor->announce();
        if (due) next = std::min(next.value_or(*due), *due);
    }
    return next;
}

}  // namespace porthole::dbus
