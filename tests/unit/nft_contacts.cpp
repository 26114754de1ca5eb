// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <endian.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "contacts.hpp"
#include "core_support.hpp"
#include "elements.hpp"
#include "netlink_script.hpp"

namespace porthole::nft {
namespace {

using namespace netlink::script;
using namespace std::chrono_literals;
using netlink::Attributes;
using netlink::FinalizedBatch;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

using Octets = std::vector<std::uint8_t>;

constexpr std::uint16_t nft_type(unsigned message) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8U | message);
}

Contact contact(std::uint64_t external_port, std::string_view remote,
                Protocol protocol = Protocol::udp) {
    return {{protocol, support::port(external_port)}, parse<Address>("remote", remote)};
}

const auto first = contact(40001, "192.0.2.1");
const auto second = contact(40001, "192.0.2.2");
const auto third = contact(40002, "192.0.2.1");

/// A command of a batch that edits elements.
struct Command {
    bool adds;
    std::string table;
    std::string set;
    std::vector<Octets> keys;
};

Octets octets(std::span<const std::byte> bytes) {
    Octets result;
    for (const auto byte : bytes) result.push_back(static_cast<std::uint8_t>(byte));
    return result;
}

std::vector<Octets> keys_in(std::span<const std::byte> list) {
    std::vector<Octets> keys;
    while (!list.empty()) {
        const auto* element = static_cast<const nlattr*>(static_cast<const void*>(list.data()));
        const auto length = mnl_attr_get_len(element);
        const auto key = Attributes::parse(list.first(length).subspan(sizeof(nlattr)))
                             ->nested(NFTA_SET_ELEM_KEY);
        keys.push_back(octets(key->payload(NFTA_DATA_VALUE).value()));
        list = list.subspan(std::min(netlink::padded(length), list.size()));
    }
    return keys;
}

std::vector<Command> commands_of(const FinalizedBatch& batch) {
    std::vector<Command> commands;
    for (const auto* each : messages_of(batch.bytes())) {
        const bool adds = each->nlmsg_type == nft_type(NFT_MSG_NEWSETELEM);
        if (!adds && each->nlmsg_type != nft_type(NFT_MSG_DELSETELEM)) continue;
        const auto attributes = Attributes::of(each, sizeof(nfgenmsg)).value();
        commands.push_back({adds, std::string(attributes.text(NFTA_SET_ELEM_LIST_TABLE)),
                            std::string(attributes.text(NFTA_SET_ELEM_LIST_SET)),
                            keys_in(attributes.payload(NFTA_SET_ELEM_LIST_ELEMENTS).value())});
    }
    return commands;
}

Octets key(const Contact& contact) {
    const auto& remote = contact.remote.bytes();
    const auto port = contact.external.port.value();
    return {static_cast<std::uint8_t>(contact.external.protocol),
            0,
            0,
            0,
            remote[0],
            remote[1],
            remote[2],
            remote[3],
            static_cast<std::uint8_t>(port >> 8U),
            static_cast<std::uint8_t>(port & 0xFFU),
            0,
            0};
}

/// What a renewal takes out and puts in.
struct Renewal {
    std::vector<Octets> removed;
    std::vector<Octets> added;
};

Renewal renewal(const std::vector<Contact>& wanted, const KnownContacts& known) {
    Renewal result;
    const auto batch = encode_renewal(wanted, known);
    if (!batch) return result;
    for (const auto& [adds, table, set, keys] : commands_of(*batch)) {
        EXPECT_EQ(table, "porthole");
        EXPECT_EQ(set, "contacts");
        EXPECT_THAT(keys, testing::Not(IsEmpty()));
        EXPECT_TRUE(adds || result.added.empty()) << "it would take out what it has put in";
        auto& edited = adds ? result.added : result.removed;
        edited.insert(edited.end(), keys.begin(), keys.end());
    }
    return result;
}

bool is_left_alone(std::chrono::milliseconds left) {
    return !encode_renewal(std::vector{first}, {{first, left}});
}

TEST(ContactRenewalTest, IsNothingWhereNothingIsWanted) {
    EXPECT_FALSE(encode_renewal({}, {}));
    EXPECT_FALSE(encode_renewal({}, {{first, 10s}}));
}

TEST(ContactRenewalTest, AddsWhatIsMissing) {
    const auto [removed, added] = renewal({first, second, third}, {{second, contact_lifetime}});
    EXPECT_THAT(removed, IsEmpty());
    EXPECT_THAT(added, ElementsAre(key(first), key(third)));
}

TEST(ContactRenewalTest, WritesKeysAsTheKernelComparesThem) {
    const auto batch = encode_renewal(
        std::vector{contact(40001, "192.0.2.9"), contact(1, "255.0.0.1", Protocol::tcp)}, {});
    ASSERT_TRUE(batch);
    const auto commands = commands_of(*batch);
    ASSERT_THAT(commands, SizeIs(1));
    EXPECT_THAT(commands[0].keys, ElementsAre(Octets{17, 0, 0, 0, 192, 0, 2, 9, 0x9C, 0x41, 0, 0},
                                              Octets{6, 0, 0, 0, 255, 0, 0, 1, 0, 1, 0, 0}));
}

TEST(ContactRenewalTest, IsOneTransaction) {
    const auto batch = encode_renewal(std::vector{first, second}, {{first, 10s}});
    ASSERT_TRUE(batch);
    const auto messages = messages_of(batch->bytes());
    ASSERT_THAT(messages, SizeIs(4));
    EXPECT_EQ(messages.front()->nlmsg_type, NFNL_MSG_BATCH_BEGIN);
    EXPECT_EQ(messages[1]->nlmsg_type, nft_type(NFT_MSG_DELSETELEM));
    EXPECT_EQ(messages[2]->nlmsg_type, nft_type(NFT_MSG_NEWSETELEM));
    EXPECT_EQ(messages.back()->nlmsg_type, NFNL_MSG_BATCH_END);
    for (const auto* each : messages) {
        if (each->nlmsg_type < nft_type(0)) continue;
        const auto& header = *static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(each));
        EXPECT_EQ(header.nfgen_family, NFPROTO_INET);
    }
}

TEST(ContactRenewalTest, RenewsWhatEndsSoonAndNothingElse) {
    const auto [removed, added] =
        renewal({first, second, third},
                {{first, 60s}, {second, contact_lifetime}, {contact(7, "192.0.2.7"), 60s}});
    EXPECT_THAT(removed, ElementsAre(key(first)));
    EXPECT_THAT(added, ElementsAre(key(first), key(third)));
}

TEST(ContactRenewalTest, LeavesAloneWhatLastsForAGoodWhile) {
    EXPECT_TRUE(is_left_alone(contact_lifetime));
    EXPECT_TRUE(is_left_alone(contact_lifetime - 60s)) << "at the next look there is time enough";
    EXPECT_FALSE(is_left_alone(contact_lifetime / 2));
    EXPECT_FALSE(is_left_alone(120s));
}

// Where it has ended meanwhile, the kernel refuses to remove it, and all that comes with it.
TEST(ContactRenewalTest, LeavesAloneWhatIsAboutToEnd) {
    EXPECT_TRUE(is_left_alone(0ms));
    EXPECT_TRUE(is_left_alone(1ms));
    EXPECT_TRUE(is_left_alone(1999ms));
    EXPECT_FALSE(is_left_alone(2001ms));
    const auto [removed, added] = renewal({first, second}, {{first, 100ms}, {second, 10s}});
    EXPECT_THAT(removed, ElementsAre(key(second)));
    EXPECT_THAT(added, ElementsAre(key(second)));
}

TEST(ContactRenewalTest, TakesAsManyMessagesAsItNeeds) {
    std::vector<Contact> wanted;
    KnownContacts known;
    std::vector<Octets> all;
    for (std::uint64_t port = 1; port <= 3001; ++port) {
        wanted.push_back(contact(port, "192.0.2.1"));
        all.push_back(key(wanted.back()));
        known.emplace(wanted.back(), 10s);
    }
    const auto [removed, added] = renewal(wanted, known);
    EXPECT_EQ(removed, all);
    EXPECT_EQ(added, all);
}

class FullContactsTest : public testing::Test {
  protected:
    // So many others, none of which is wanted.
    static KnownContacts others(std::size_t count) {
        KnownContacts known;
        std::uint32_t remote = 0x0A000000;
        const ProtocolPort external{Protocol::udp, support::port(9)};
        while (known.size() < count) {
            known.emplace_hint(known.end(), Contact{external, Address::v4(++remote)},
                               contact_lifetime);
        }
        return known;
    }
};

TEST_F(FullContactsTest, TakeWhatThereIsRoomFor) {
    const auto [removed, added] = renewal({first, second, third}, others(most_contacts - 2));
    EXPECT_THAT(removed, IsEmpty());
    EXPECT_THAT(added, ElementsAre(key(first), key(second)));
}

TEST_F(FullContactsTest, TakeNoMore) {
    EXPECT_FALSE(encode_renewal(std::vector{first}, others(most_contacts)));
    EXPECT_FALSE(encode_renewal(std::vector{first}, others(most_contacts + 1)));
}

TEST_F(FullContactsTest, KeepThoseThatAreThere) {
    auto known = others(most_contacts - 1);
    known.emplace(third, 10s);
    const auto [removed, added] = renewal({first, third}, known);
    EXPECT_THAT(removed, ElementsAre(key(third)));
    EXPECT_THAT(added, ElementsAre(key(third)));
}

/// An element as the kernel lists it.
struct Listed {
    std::optional<Octets> key;
    std::optional<std::chrono::milliseconds> left;
};

Listed listed(const Contact& contact, std::chrono::milliseconds left) {
    return {key(contact), left};
}

Bytes elements(std::uint32_t sequence, const std::vector<Listed>& list, std::uint16_t flags = 0) {
    return message(nft_type(NFT_MSG_NEWSETELEM), NLM_F_MULTI | flags, sequence,
                   [&](nlmsghdr* made) {
                       auto& header = put_header<nfgenmsg>(made);
                       header.nfgen_family = NFPROTO_INET;
                       header.version = NFNETLINK_V0;
                       mnl_attr_put_strz(made, NFTA_SET_ELEM_LIST_TABLE, "porthole");
                       mnl_attr_put_strz(made, NFTA_SET_ELEM_LIST_SET, "contacts");
                       auto* all = mnl_attr_nest_start(made, NFTA_SET_ELEM_LIST_ELEMENTS);
                       for (const auto& [key, left] : list) {
                           auto* element = mnl_attr_nest_start(made, NFTA_LIST_ELEM);
                           if (key) {
                               auto* data = mnl_attr_nest_start(made, NFTA_SET_ELEM_KEY);
                               mnl_attr_put(made, NFTA_DATA_VALUE, key->size(), key->data());
                               mnl_attr_nest_end(made, data);
                           }
                           constexpr std::uint64_t lifetime = 600'000;
                           mnl_attr_put_u64(made, NFTA_SET_ELEM_TIMEOUT, htobe64(lifetime));
                           if (left) {
                               mnl_attr_put_u64(made, NFTA_SET_ELEM_EXPIRATION,
                                                htobe64(static_cast<std::uint64_t>(left->count())));
                           }
                           mnl_attr_nest_end(made, element);
                       }
                       mnl_attr_nest_end(made, all);
                   });
}

class ContactListTest : public testing::Test {
  protected:
    KnownContacts list(const std::vector<std::vector<Listed>>& parts) {
        kernel_.answer = [&parts](const nlmsghdr* request) {
            std::vector<Event> answers;
            for (const auto& part : parts) {
                answers.emplace_back(elements(request->nlmsg_seq, part));
            }
            answers.emplace_back(done(request->nlmsg_seq));
            return answers;
        };
        return list_contacts(connection_, sets::contacts);
    }

    std::unique_ptr<ScriptedTransport> owned_ = std::make_unique<ScriptedTransport>();
    ScriptedTransport& kernel_ = *owned_;
    netlink::Connection connection_{std::move(owned_)};
};

TEST_F(ContactListTest, AsksForItsSet) {
    EXPECT_THAT(list({}), IsEmpty());
    ASSERT_THAT(kernel_.sent, SizeIs(1));
    const auto* request = header(kernel_.sent[0]);
    EXPECT_EQ(request->nlmsg_type, nft_type(NFT_MSG_GETSETELEM));
    EXPECT_EQ(request->nlmsg_flags & NLM_F_DUMP, NLM_F_DUMP);
    const auto& family = *static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(request));
    EXPECT_EQ(family.nfgen_family, NFPROTO_INET);
    const auto attributes = Attributes::of(request, sizeof(nfgenmsg)).value();
    EXPECT_EQ(attributes.text(NFTA_SET_ELEM_LIST_TABLE), "porthole");
    EXPECT_EQ(attributes.text(NFTA_SET_ELEM_LIST_SET), "contacts");
}

TEST_F(ContactListTest, TellsHowLongEachOfThemLasts) {
    const auto tcp = contact(65535, "255.255.255.254", Protocol::tcp);
    EXPECT_THAT(list({{listed(first, 600'000ms), listed(tcp, 1ms)}, {}, {listed(third, 12'345ms)}}),
                ElementsAre(Pair(tcp, 1ms), Pair(first, 600'000ms), Pair(third, 12'345ms)));
}

TEST_F(ContactListTest, ReadsKeysAsTheKernelComparesThem) {
    EXPECT_THAT(list({{{Octets{17, 0, 0, 0, 192, 0, 2, 9, 0x9C, 0x41, 0, 0}, 7s}}}),
                ElementsAre(Pair(contact(40001, "192.0.2.9"), 7s)));
}

// What it lists is what a renewal would name.
TEST_F(ContactListTest, KnowsAgainWhatARenewalAdds) {
    const auto batch = encode_renewal(std::vector{first, second, third}, {});
    ASSERT_TRUE(batch);
    std::vector<Listed> there;
    for (const auto& command : commands_of(*batch)) {
        for (const auto& added : command.keys) there.push_back({added, contact_lifetime});
    }
    const auto known = list({there});
    EXPECT_THAT(known, SizeIs(3));
    EXPECT_FALSE(encode_renewal(std::vector{first, second, third}, known));
}

TEST_F(ContactListTest, PassesOverKeysThatAreNoContacts) {
    const auto whole = key(first);
    for (const std::size_t length : {1U, 4U, 8U, 10U, 11U, 13U, 16U, 24U, 64U}) {
        auto other = whole;
        other.resize(length, 0);
        EXPECT_THAT(list({{{other, 7s}, listed(second, 8s)}, {listed(third, 9s)}}),
                    ElementsAre(Pair(second, 8s), Pair(third, 9s)))
            << length;
    }
    auto without_port = whole;
    without_port[8] = without_port[9] = 0;
    EXPECT_THAT(list({{{without_port, 7s}, listed(second, 8s)}}), ElementsAre(Pair(second, 8s)));
    EXPECT_THAT(list({{{std::nullopt, 7s}, listed(second, 8s)}}), ElementsAre(Pair(second, 8s)));
}

// Only the broken message counts as lost, whatever it is.
TEST_F(ContactListTest, PassesOverMessagesThatAreNoLists) {
    const auto answer_with = [this](const Bytes& odd) {
        kernel_.answer = [odd](const nlmsghdr* request) -> std::vector<Event> {
            const auto sequence = request->nlmsg_seq;
            auto numbered = odd;
            static_cast<nlmsghdr*>(static_cast<void*>(numbered.data()))->nlmsg_seq = sequence;
            return {numbered, elements(sequence, {listed(second, 8s)}), done(sequence)};
        };
    };
    for (const std::size_t length : {0U, 65U, 200U}) {
        answer_with(elements(0, {{Octets(length, 1), 7s}}));
        EXPECT_THAT(list_contacts(connection_, sets::contacts), ElementsAre(Pair(second, 8s)))
            << length;
    }
    answer_with(message(nft_type(NFT_MSG_NEWSETELEM), NLM_F_MULTI, 0,
                        [](nlmsghdr* made) { put_header<nfgenmsg>(made); }));
    EXPECT_THAT(list_contacts(connection_, sets::contacts), ElementsAre(Pair(second, 8s)));
    answer_with(message(nft_type(NFT_MSG_NEWSETELEM), NLM_F_MULTI, 0, [](nlmsghdr* made) {
        put_header<nfgenmsg>(made);
        mnl_attr_put_u32(made, NFTA_SET_ELEM_LIST_ELEMENTS, 0xFFFFFFFF);
    }));
    EXPECT_THAT(list_contacts(connection_, sets::contacts), ElementsAre(Pair(second, 8s)));
}

TEST_F(ContactListTest, StartsAgainWithNothingWhereItWasInterrupted) {
    int attempts = 0;
    kernel_.answer = [&](const nlmsghdr* request) -> std::vector<Event> {
        const auto sequence = request->nlmsg_seq;
        if (++attempts == 1) {
            return {elements(sequence, {listed(first, 7s)}),
                    elements(sequence, {listed(second, 7s)}, NLM_F_DUMP_INTR), done(sequence)};
        }
        return {elements(sequence, {listed(third, 9s)}), done(sequence)};
    };
    EXPECT_THAT(list_contacts(connection_, sets::contacts), ElementsAre(Pair(third, 9s)));
}

TEST_F(ContactListTest, IsEmptyWhereThereIsNoTable) {
    kernel_.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        return {report(request->nlmsg_seq, ENOENT)};
    };
    EXPECT_THAT(list_contacts(connection_, sets::contacts), testing::IsEmpty());
}

TEST_F(ContactListTest, FailsWhereTheKernelDoes) {
    kernel_.answer = [](const nlmsghdr* request) -> std::vector<Event> {
        return {report(request->nlmsg_seq, EPERM)};
    };
    EXPECT_THAT([&] { list_contacts(connection_, sets::contacts); },
                testing::ThrowsMessage<KernelFailure>(testing::HasSubstr("contacts")));
}

}  // namespace
}  // namespace porthole::nft
