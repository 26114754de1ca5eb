// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "netlink/neighbour_table.hpp"
#include "netlink_script.hpp"

namespace porthole::netlink {
namespace {

using namespace script;
using testing::ElementsAre;
using testing::Optional;
using testing::SizeIs;

using Octets = std::vector<std::uint8_t>;

const Octets usual_mac{2, 0, 0x5E, 0x10, 0, 1};

struct Fields {
    const char* address = "192.168.2.2";
    std::optional<Octets> mac = usual_mac;
    std::uint16_t state = NUD_REACHABLE;
    std::uint16_t type = RTM_NEWNEIGH;
    int link_index = 3;
};

Bytes neighbour_message(const Fields& fields, std::uint32_t sequence = 0) {
    return message(fields.type, NLM_F_MULTI, sequence, [&](nlmsghdr* made) {
        auto& info = put_header<ndmsg>(made);
        info.ndm_family = AF_INET;
        info.ndm_ifindex = fields.link_index;
        info.ndm_state = fields.state;
        if (fields.address != nullptr) {
            const auto address = parse<Address>("address", fields.address);
            if (address.family() == Family::ipv6) info.ndm_family = AF_INET6;
            mnl_attr_put(made, NDA_DST, address.bytes().size(), address.bytes().data());
        }
        if (fields.mac) mnl_attr_put(made, NDA_LLADDR, fields.mac->size(), fields.mac->data());
        mnl_attr_put_u32(made, NDA_PROBES, 1);
    });
}

std::optional<Neighbour> decoded(const Fields& fields) {
    const auto bytes = neighbour_message(fields);
    return decode_neighbour(header(bytes));
}

Neighbour neighbour(const char* address, bool confirmed = true) {
    return {3, parse<Address>("address", address), parse<MacAddress>("mac", "02:00:5e:10:00:01"),
            confirmed};
}

TEST(NetlinkNeighbour, IsConfirmedByAnAnswerOrByHand) {
    EXPECT_THAT(decoded({}), Optional(neighbour("192.168.2.2")));
    EXPECT_THAT(decoded({.state = NUD_PERMANENT}), Optional(neighbour("192.168.2.2")));
}

TEST(NetlinkNeighbour, IsNotConfirmedByWhatWasKnownBefore) {
    constexpr std::array<std::uint16_t, 3> states{NUD_STALE, NUD_DELAY, NUD_PROBE};
    for (const auto state : states) {
        EXPECT_THAT(decoded({.state = state}), Optional(neighbour("192.168.2.2", false))) << state;
    }
}

TEST(NetlinkNeighbour, IsNeverConfirmedWithoutAnAnswer) {
    constexpr std::array<std::uint16_t, 4> states{NUD_NONE, NUD_INCOMPLETE, NUD_FAILED, NUD_NOARP};
    for (const auto state : states) {
        const auto found = decoded({.state = state});
        EXPECT_FALSE(found && found->confirmed) << state;
    }
}

TEST(NetlinkNeighbour, MayHaveAnIpv6Address) {
    EXPECT_THAT(decoded({.address = "2001:db8::2"}), Optional(neighbour("2001:db8::2")));
}

TEST(NetlinkNeighbour, IsNobodyWithoutAUsableMacAddress) {
    const std::vector<std::optional<Octets>> useless{
        std::nullopt,
        Octets{},
        Octets{0, 0, 0, 0, 0, 0},
        Octets{1, 0, 0x5E, 0, 0, 1},
        Octets{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
        Octets{2, 0, 0x5E, 0x10, 0},
        Octets{2, 0, 0x5E, 0x10, 0, 1, 2, 3},
    };
    for (const auto& mac : useless) {
        EXPECT_EQ(decoded({.mac = mac}), std::nullopt);
        EXPECT_EQ(decoded({.mac = mac, .state = NUD_STALE}), std::nullopt);
    }
}

TEST(NetlinkNeighbour, IsNobodyWithoutAnAddress) {
    EXPECT_EQ(decoded({.address = nullptr}), std::nullopt);
}

TEST(NetlinkNeighbour, IsNotReadFromOtherMessages) {
    EXPECT_EQ(decoded({.type = RTM_DELNEIGH}), std::nullopt);
    EXPECT_EQ(decoded({.type = RTM_NEWLINK}), std::nullopt);
}

TEST(NetlinkNeighbour, IsNobodyWhereTheMessageIsCutShort) {
    for (const auto* address : {"192.168.2.2", "2001:db8::2"}) {
        const auto whole = neighbour_message({.address = address});
        for (auto length = sizeof(nlmsghdr); length < whole.size(); ++length) {
            const auto part = cut(whole, length);
            const auto found = decode_neighbour(header(part));
            // It is whole without its padding and without the last attribute.
            EXPECT_TRUE(!found || *found == neighbour(address)) << length;
            if (length < whole.size() - padded(sizeof(nlattr) + sizeof(std::uint32_t)) - 2) {
                EXPECT_EQ(found, std::nullopt) << length;
            }
        }
    }
}

class NetlinkNeighbourTable : public testing::Test {
  protected:
    std::unique_ptr<ScriptedTransport> owned = std::make_unique<ScriptedTransport>();
    ScriptedTransport& kernel = *owned;
    NeighbourTable table{std::move(owned)};
};

TEST_F(NetlinkNeighbourTable, HasThoseWhoseMacAddressIsKnown) {
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        const auto sequence = request->nlmsg_seq;
        EXPECT_EQ(request->nlmsg_type, RTM_GETNEIGH);
        return {
            joined({neighbour_message({}, sequence),
                    neighbour_message({.mac = std::nullopt, .state = NUD_INCOMPLETE}, sequence),
                    neighbour_message({.address = "192.168.2.3", .state = NUD_STALE}, sequence)}),
            done(sequence)};
    };
    EXPECT_THAT(table.read(),
                ElementsAre(neighbour("192.168.2.2"), neighbour("192.168.2.3", false)));
}

TEST_F(NetlinkNeighbourTable, HasNobodyTwiceWhereItChangedWhileItWasRead) {
    kernel.answer = [this](const nlmsghdr* request) -> std::vector<Event> {
        const auto sequence = request->nlmsg_seq;
        const std::uint16_t interrupted = kernel.sent.size() == 1 ? NLM_F_DUMP_INTR : 0;
        return {neighbour_message({}, sequence), done(sequence, 0, interrupted)};
    };
    EXPECT_THAT(table.read(), SizeIs(1));
    EXPECT_THAT(kernel.sent, SizeIs(2));
}

TEST_F(NetlinkNeighbourTable, SaysSoWhereTheKernelAsksNobody) {
    kernel.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        return {report(request->nlmsg_seq, ENODEV)};
    };
    EXPECT_THROW(table.probe({3, parse<Address>("address", "192.168.2.2")}), KernelFailure);
}

}  // namespace
}  // namespace porthole::netlink
