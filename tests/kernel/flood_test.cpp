// SPDX-License-Identifier: GPL-2.0-or-later
// A million packets from addresses that nobody has: they come for reserved ports, and no further.
#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <set>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "bus_client.hpp"
#include "lab/file_descriptor.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::UdpSocket;

constexpr std::uint16_t wireguard = 51820;
constexpr std::array<std::uint16_t, 2> external{40001, 40002};
constexpr std::size_t packets = 1'000'000;
constexpr std::size_t batch = 1'000;
constexpr std::string_view payload = "stranger";

/// Sends packets whose source is anybody's.
class Strangers {
  public:
    explicit Strangers(const lab::Namespace& where)
        : socket_(where.run([] {
              return lab::checked(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW),
                                  "socket");
          })) {
        destination_.sin_family = AF_INET;
        destination_.sin_addr.s_addr =
            htonl(parse<Address>("address", addresses::a_wan).v4_value());
        for (std::size_t i = 0; i < batch; ++i) {
            auto& packet = packets_.at(i);
            packet.ip.version = 4;
            packet.ip.ihl = sizeof(packet.ip) / 4;
            packet.ip.ttl = IPDEFTTL;
            packet.ip.protocol = IPPROTO_UDP;
            packet.ip.daddr = destination_.sin_addr.s_addr;
            packet.udp.len = htons(sizeof(packet.udp) + payload.size());
            std::ranges::copy(payload, packet.data.begin());
            vectors_.at(i) = {&packet, sizeof(packet)};
            auto& header = messages_.at(i).msg_hdr;
            header.msg_name = &destination_;
            header.msg_namelen = sizeof(destination_);
            header.msg_iov = &vectors_.at(i);
            header.msg_iovlen = 1;
        }
    }

    void send_batch() {
        for (auto& packet : packets_) {
            packet.ip.saddr = htonl(public_address());
            packet.udp.source = htons(static_cast<std::uint16_t>(1 + random_() % 65535));
            packet.udp.dest = htons(external.at(random_() % external.size()));
        }
        for (std::size_t sent = 0; sent < batch;) {
            sent += static_cast<std::size_t>(
                lab::checked(::sendmmsg(socket_.get(), &messages_.at(sent),
                                        static_cast<unsigned>(batch - sent), 0),
                             "sendmmsg"));
        }
    }

  private:
    struct Packet {
        iphdr ip;
        udphdr udp;
        std::array<char, payload.size()> data;
    };
    static_assert(sizeof(Packet) == sizeof(iphdr) + sizeof(udphdr) + payload.size());

    // Neither private, nor one of the lab's own, nor what no host can have.
    std::uint32_t public_address() {
        while (true) {
            const auto value = static_cast<std::uint32_t>(random_());
            const auto address = Address::v4(value);
            const auto first = value >> 24U;
            const auto network = Network::around(address, 32);
            if (first == 0 || !address.is_unicast() || network->is_private()) continue;
            if (first == 203 || first == 198) continue;
            return value;
        }
    }

    lab::FileDescriptor socket_;
    sockaddr_in destination_{};
    std::mt19937 random_{1};
    std::array<Packet, batch> packets_{};
    std::array<iovec, batch> vectors_{};
    std::array<mmsghdr, batch> messages_{};
};

class Flood : public testing::TestWithParam<std::string> {};

TEST_P(Flood, ComesNoFurtherThanTheGateway) {
    const lab::TwoSites sites;
    lab::masquerade(sites.gateway_a, lab::InputPolicy::accept);
    lab::Porthole porthole(sites.gateway_a);
    porthole.start();
    BusClient client(porthole);
    const std::array hosts{addresses::a1, addresses::a2};
    for (std::size_t i = 0; i < hosts.size(); ++i) {
        client.reserve(std::string(hosts.at(i)), "udp", wireguard,
                       {{"external-port", sdbus::Variant(external.at(i))},
                        {"filtering", sdbus::Variant(GetParam())},
                        {"settle", sdbus::Variant(true)}});
    }
    const std::array inside{UdpSocket(sites.a1, wireguard), UdpSocket(sites.a2, wireguard)};
    const UdpSocket remote(sites.outside, wireguard);
    const auto unsolicited = [&] {
        return client.status()
            .at("counters")
            .get<dbus::Dictionary>()
            .at("unsolicited")
            .get<std::uint64_t>();
    };
    const auto tracked = [&] {
        return std::stoul(
            lab::output_of(sites.gateway_a, {"cat", "/proc/sys/net/netfilter/nf_conntrack_count"}));
    };

    auto strangers = std::make_unique<Strangers>(sites.outside);
    std::size_t lost = 0;
    std::size_t came_in = 0;
    std::size_t most_tracked = 0;
    for (std::size_t sent = 0; sent < packets; sent += batch) {
        strangers->send_batch();
        for (std::size_t i = 0; i < inside.size(); ++i) {
            while (const auto packet = inside.at(i).receive(lab::Duration(0))) {
                if (packet->payload == payload) ++came_in;
            }
            const auto shown =
                lab::exchange(inside.at(i), remote, at(addresses::outside, wireguard));
            if (shown != at(addresses::a_wan, external.at(i))) ++lost;
        }
        if (sent % 100'000 == 0) most_tracked = std::max(most_tracked, tracked());
    }
    EXPECT_EQ(came_in, 0U);
    EXPECT_EQ(lost, 0U);
    EXPECT_LT(most_tracked, 100U);
    EXPECT_TRUE(lab::comes_true([&] { return unsolicited() == packets; })) << unsolicited();
}

INSTANTIATE_TEST_SUITE_P(Filtering, Flood,
                         testing::Values("address-dependent", "address-and-port-dependent"),
                         [](const auto& tested) {
                             return tested.param == "address-dependent" ? "AddressDependent"
                                                                        : "AddressAndPortDependent";
                         });

}  // namespace
}  // namespace porthole
