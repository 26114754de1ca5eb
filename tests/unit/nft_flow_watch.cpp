// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#include "netlink_script.hpp"
#include "nft/flow_watch.hpp"

namespace porthole::nft {
namespace {

using namespace netlink::script;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;
using testing::UnorderedElementsAre;

using Octets = std::vector<std::uint8_t>;

constexpr std::uint8_t udp = 17;
constexpr std::uint8_t hop_by_hop = 0;
constexpr std::uint8_t tcp = 6;

constexpr std::uint16_t log_type(unsigned message) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_ULOG << 8U | message);
}

struct Packet {
    std::uint8_t last_of_source = 2;  ///< 192.168.2.x
    std::uint16_t port = 51820;
    std::uint8_t protocol = udp;
    std::uint8_t option_words = 0;
    std::uint8_t version = 4;
    std::uint16_t fragment = 0x4000;  ///< flags and offset; don't fragment
};

Octets octets(const Packet& packet) {
    const auto header_words = static_cast<std::uint8_t>(5 + packet.option_words);
    const auto high = [](std::uint16_t value) { return static_cast<std::uint8_t>(value >> 8U); };
    const auto low = [](std::uint16_t value) { return static_cast<std::uint8_t>(value & 0xFFU); };
    Octets bytes{static_cast<std::uint8_t>(packet.version << 4U | header_words),
                 0,
                 0,
                 60,
                 0,
                 1,
                 high(packet.fragment),
                 low(packet.fragment),
                 64,
                 packet.protocol,
                 0,
                 0,
                 192,
                 168,
                 2,
                 packet.last_of_source,
                 198,
                 51,
                 100,
                 7};
    bytes.insert(bytes.end(), packet.option_words * 4UL, 1);
    const Octets transport{high(packet.port), low(packet.port), 0, 7, 0, 8, 0, 0};
    bytes.insert(bytes.end(), transport.begin(), transport.end());
    return bytes;
}

Octets ipv6_packet(std::uint8_t next_header) {
    Octets bytes(40, 0);
    bytes[0] = 0x60;
    bytes[6] = next_header;
    bytes[9] = udp;  // where IPv4 has its protocol
    bytes[23] = 2;
    bytes.insert(bytes.end(), {0xCA, 0x6C, 0, 7, 0, 8, 0, 0});
    return bytes;
}

Bytes logged(const std::optional<Octets>& packet, std::optional<std::uint32_t> sequence,
             std::uint16_t type = log_type(NFULNL_MSG_PACKET)) {
    return message(type, 0, 0, [&](nlmsghdr* made) {
        auto& info = put_header<nfgenmsg>(made);
        info.version = NFNETLINK_V0;
        mnl_attr_put_strz(made, NFULA_PREFIX, "");
        if (sequence) mnl_attr_put_u32(made, NFULA_SEQ, htonl(*sequence));
        if (packet) mnl_attr_put(made, NFULA_PAYLOAD, packet->size(), packet->data());
    });
}

Bytes logged(const Packet& packet, std::uint32_t sequence) {
    return logged(octets(packet), sequence);
}

std::optional<LoggedPacket> decoded(const std::optional<Octets>& packet,
                                    std::optional<std::uint32_t> sequence = 7) {
    const auto bytes = logged(packet, sequence);
    return decode_logged_packet(header(bytes));
}
std::optional<LoggedPacket> decoded(const Packet& packet) { return decoded(octets(packet)); }

Sighting sighting(std::uint8_t last_of_source, std::uint64_t port = 51820,
                  Protocol protocol = Protocol::udp) {
    return {Address::v4(0xC0A80200U | last_of_source), protocol, Port::from(port).value()};
}

TEST(LoggedPacketTest, TellsWhoHasSentIt) {
    EXPECT_THAT(decoded(Packet()), Optional(LoggedPacket{sighting(2), 7}));
    EXPECT_THAT(decoded({.last_of_source = 254, .port = 1}),
                Optional(LoggedPacket{sighting(254, 1), 7}));
    EXPECT_THAT(decoded(octets({}), 0x01020304), Optional(LoggedPacket{sighting(2), 0x01020304}));
    EXPECT_THAT(decoded({.protocol = tcp}),
                Optional(LoggedPacket{sighting(2, 51820, Protocol::tcp), 7}));
}

TEST(LoggedPacketTest, HasItsPortBehindTheOptions) {
    for (std::uint8_t words = 1; words <= 10; ++words) {
        EXPECT_THAT(decoded({.option_words = words}), Optional(LoggedPacket{sighting(2), 7}))
            << words;
    }
}

TEST(LoggedPacketTest, HasAPortInItsFirstFragmentOnly) {
    EXPECT_THAT(decoded({.fragment = 0x2000}), Optional(LoggedPacket{sighting(2), 7}));
    constexpr std::array<std::uint16_t, 4> later{0x0001, 0x2001, 0x1FFF, 0x0100};
    for (const auto fragment : later) {
        EXPECT_EQ(decoded({.fragment = fragment}), std::nullopt) << fragment;
    }
}

TEST(LoggedPacketTest, IsNothingWhereItIsOfAnotherKind) {
    EXPECT_EQ(decoded({.protocol = 1}), std::nullopt) << "ICMP";
    EXPECT_EQ(decoded({.protocol = 132}), std::nullopt) << "SCTP";
    EXPECT_EQ(decoded({.version = 6}), std::nullopt) << "too short for that";
    EXPECT_EQ(decoded({.version = 0}), std::nullopt);
    EXPECT_EQ(decoded({.port = 0}), std::nullopt);
    EXPECT_EQ(decoded(ipv6_packet(hop_by_hop)), std::nullopt);
}

TEST(LoggedPacketTest, TellsWhoHasSentItOverIpv6) {
    const Sighting sender{parse<Address>("", "fd11::2"), Protocol::udp, Port::constant<51820>()};
    auto packet = ipv6_packet(udp);
    packet[8] = 0xFD;
    EXPECT_THAT(decoded(packet), Optional(LoggedPacket{sender, 7}));
    for (std::size_t length = 0; length < 42; ++length) {
        EXPECT_EQ(
            decoded(Octets(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(length))),
            std::nullopt)
            << length;
    }
    packet[40] = packet[41] = 0;
    EXPECT_EQ(decoded(packet), std::nullopt) << "port 0";
}

TEST(LoggedPacketTest, IsNothingWhereItsHeaderIsTooShort) {
    auto bytes = octets({});
    for (std::uint8_t words = 0; words < 5; ++words) {
        bytes[0] = static_cast<std::uint8_t>(0x40U | words);
        EXPECT_EQ(decoded(bytes), std::nullopt) << static_cast<int>(words);
    }
    bytes[0] = 0x4F;
    EXPECT_EQ(decoded(bytes), std::nullopt) << "60 bytes of header in a packet of 28";
}

TEST(LoggedPacketTest, IsNothingWhereThePacketIsCutShort) {
    constexpr std::array<std::uint8_t, 2> option_words{0, 3};
    for (const auto words : option_words) {
        const auto whole = octets({.option_words = words});
        const auto ports = 20UL + words * 4UL;
        for (std::size_t length = 0; length <= whole.size(); ++length) {
            const auto end = whole.begin() + static_cast<std::ptrdiff_t>(length);
            const auto found = decoded(Octets(whole.begin(), end));
            if (length < ports + 2) {
                EXPECT_EQ(found, std::nullopt) << length;
            } else if (length >= ports + 8) {
                EXPECT_THAT(found, Optional(LoggedPacket{sighting(2), 7})) << length;
            }
        }
    }
}

TEST(LoggedPacketTest, IsNothingWhereTheMessageIsCutShort) {
    const auto whole = logged(octets({}), 7);
    for (auto length = sizeof(nlmsghdr); length < whole.size(); ++length) {
        const auto part = cut(whole, length);
        EXPECT_EQ(decode_logged_packet(header(part)), std::nullopt) << length;
    }
    EXPECT_TRUE(decode_logged_packet(header(whole)));
}

TEST(LoggedPacketTest, IsNothingWithoutPayloadOrSequence) {
    EXPECT_EQ(decoded(std::nullopt), std::nullopt);
    EXPECT_EQ(decoded(octets({}), std::nullopt), std::nullopt);
}

TEST(LoggedPacketTest, IsNotReadFromOtherMessages) {
    constexpr std::array<std::uint16_t, 3> types{log_type(NFULNL_MSG_CONFIG), NFULNL_MSG_PACKET,
                                                 NLMSG_ERROR};
    for (const auto type : types) {
        const auto bytes = logged(octets({}), 7, type);
        EXPECT_EQ(decode_logged_packet(header(bytes)), std::nullopt) << type;
    }
}

class FlowWatchTest : public testing::Test {
  protected:
    FlowWatchTest() {
        kernel_.answer = [this](const nlmsghdr*) {
            std::vector<Event> answers;
            for (const auto* request : messages_of(kernel_.sent.back())) {
                answers.emplace_back(report(request->nlmsg_seq, error_));
            }
            return answers;
        };
    }
    void SetUp() override { watch_ = std::make_unique<FlowWatch>(std::move(owned_)); }

    // As if they arrived one by one.
    Sightings take(const std::vector<Bytes>& messages) {
        for (const auto& each : messages) kernel_.pending.emplace_back(each);
        return watch_->take();
    }

    std::unique_ptr<ScriptedTransport> owned_ = std::make_unique<ScriptedTransport>();
    ScriptedTransport& kernel_ = *owned_;
    int error_ = 0;
    std::unique_ptr<FlowWatch> watch_;
};

TEST_F(FlowWatchTest, SeesNobodyWhereNobodySends) {
    const auto [seen, lost] = take({});
    EXPECT_THAT(seen, IsEmpty());
    EXPECT_FALSE(lost);
}

TEST_F(FlowWatchTest, SeesWhoSends) {
    const auto first =
        take({logged({.last_of_source = 2}, 0), logged({.protocol = tcp}, 1),
              joined({logged({.last_of_source = 3}, 2), logged({.port = 51821}, 3)})});
    EXPECT_THAT(first.seen, UnorderedElementsAre(sighting(2), sighting(2, 51820, Protocol::tcp),
                                                 sighting(3), sighting(2, 51821)));
    EXPECT_FALSE(first.lost);
    const auto second = take({logged({.last_of_source = 4}, 4)});
    EXPECT_THAT(second.seen, ElementsAre(sighting(4)));
    EXPECT_FALSE(second.lost);
}

TEST_F(FlowWatchTest, CountsASourceOnce) {
    const auto [seen, lost] =
        take({logged({.last_of_source = 2}, 0), logged({.last_of_source = 3}, 1),
              logged({.last_of_source = 2}, 2),
              joined({logged({.last_of_source = 2}, 3), logged({.last_of_source = 3}, 4)})});
    EXPECT_THAT(seen, UnorderedElementsAre(sighting(2), sighting(3)));
    EXPECT_FALSE(lost);
    EXPECT_THAT(take({logged({.last_of_source = 2}, 5)}).seen, ElementsAre(sighting(2)));
}

TEST_F(FlowWatchTest, KnowsThatPacketsAreMissing) {
    EXPECT_FALSE(take({logged({}, 0)}).lost);
    const auto [seen, lost] = take({logged({.last_of_source = 3}, 2)});
    EXPECT_TRUE(lost);
    EXPECT_THAT(seen, ElementsAre(sighting(3)));
    EXPECT_FALSE(take({logged({}, 3)}).lost) << "known already";
    EXPECT_TRUE(take({logged({}, 4), logged({}, 9), logged({}, 10)}).lost);
    EXPECT_FALSE(take({logged({}, 11)}).lost);
}

TEST_F(FlowWatchTest, DoesNotMindTheEndOfTheNumbers) {
    EXPECT_FALSE(take({logged({}, 0xFFFFFFFE), logged({}, 0xFFFFFFFF), logged({}, 0)}).lost);
    EXPECT_FALSE(take({logged({}, 1)}).lost);
}

TEST_F(FlowWatchTest, MissesThoseAroundTheEndOfTheNumbers) {
    EXPECT_TRUE(take({logged({}, 0xFFFFFFFF), logged({}, 1)}).lost);
}

TEST_F(FlowWatchTest, SeesWhatTheKernelHadRoomFor) {
    kernel_.pending = {logged({.last_of_source = 2}, 0), ENOBUFS, logged({.last_of_source = 3}, 1)};
    const auto [seen, lost] = watch_->take();
    EXPECT_TRUE(lost);
    EXPECT_THAT(seen, UnorderedElementsAre(sighting(2), sighting(3)));
    EXPECT_FALSE(take({logged({}, 2)}).lost);
}

TEST_F(FlowWatchTest, DoesNotMissPacketsThatTellNothing) {
    const auto [seen, lost] =
        take({logged({}, 0), logged(ipv6_packet(hop_by_hop), 1), logged({.fragment = 1}, 2),
              logged(Octets{}, 3), logged({.last_of_source = 3}, 4)});
    EXPECT_THAT(seen, UnorderedElementsAre(sighting(2), sighting(3)));
    EXPECT_FALSE(lost) << "the kernel had room for all of them";
}

TEST_F(FlowWatchTest, BindsToItsGroupAndNothingElse) {
    ASSERT_FALSE(kernel_.sent.empty());
    std::optional<std::uint16_t> group;
    for (const auto& datagram : kernel_.sent) {
        for (const auto* request : messages_of(datagram)) {
            EXPECT_EQ(request->nlmsg_type, log_type(NFULNL_MSG_CONFIG));
            const auto& info = *static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(request));
            EXPECT_EQ(group.value_or(ntohs(info.res_id)), ntohs(info.res_id));
            group = ntohs(info.res_id);
        }
    }
    EXPECT_GT(group, 0);
}

class BusyFlowWatchTest : public FlowWatchTest {
  protected:
    void SetUp() override { error_ = EBUSY; }
};

TEST_F(BusyFlowWatchTest, SaysThatAnotherProgramHasTheGroup) {
    EXPECT_THROW(FlowWatch(std::move(owned_)), KernelFailure);
}

}  // namespace
}  // namespace porthole::nft
