// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/interface_editor.hpp"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/namespace.hpp"
#include "lab/process.hpp"
#include "lab/temporary_directory.hpp"

namespace porthole {
namespace {

using netlink::InterfaceEditor;
using netlink::LinkRoute;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class InterfaceEditorTest : public testing::Test {
  protected:
    void make() { editor_.create(name_, "bridge"); }

    void set_addresses(const std::vector<std::string>& texts) {
        std::vector<InterfaceAddress> addresses;
        for (const auto& text : texts) addresses.push_back(parse<InterfaceAddress>("a", text));
        editor_.set_addresses(name_, addresses);
    }

    void set_routes(const std::vector<std::string>& texts, std::uint32_t table = 254,
                    std::uint32_t metric = 0) {
        std::vector<LinkRoute> routes;
        for (const auto& text : texts) routes.push_back({parse<Network>("n", text), table});
        editor_.set_routes(name_, routes, metric);
    }

    /// What ip(8) says of the interface.
    [[nodiscard]] std::string shown(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), "ip");
        return lab::output_of(host_, arguments);
    }
    [[nodiscard]] std::string addresses() const {
        return shown({"-o", "address", "show", "dev", "br7"});
    }
    [[nodiscard]] std::string routes(const std::string& family, const std::string& table) const {
        return shown({family, "route", "show", "table", table, "proto", "87"});
    }

    template <typename Action>
    static int error_of(const Action& action) {
        try {
            action();
        } catch (const KernelFailure& failure) {
            return failure.code();
        }
        return 0;
    }

    lab::Namespace host_{"host"};
    const InterfaceName name_ = parse<InterfaceName>("interface", "br7");
    InterfaceEditor editor_ = host_.run([] { return InterfaceEditor(); });
};

TEST_F(InterfaceEditorTest, MakesFindsAndRemovesInterfaces) {
    EXPECT_EQ(error_of([&] { (void)editor_.find(name_); }), ENODEV);
    make();
    const auto link = editor_.find(name_);
    EXPECT_EQ(link.kind, "bridge");
    EXPECT_EQ(static_cast<unsigned>(link.index), host_.link_index("br7"));
    EXPECT_EQ(error_of([&] { make(); }), EEXIST);
    editor_.remove(name_);
    EXPECT_EQ(error_of([&] { (void)editor_.find(name_); }), ENODEV);
    EXPECT_EQ(error_of([&] { editor_.remove(name_); }), ENODEV);
    EXPECT_EQ(error_of([&] { editor_.create(name_, "no-such-kind"); }), EOPNOTSUPP);
}

// By that udev tells whose they are: see systemd/70-porthole.rules.
TEST_F(InterfaceEditorTest, MakesInterfacesInAGroupOfTheirOwn) {
    lab::output_of(host_, {"ip", "link", "add", "another", "type", "bridge"});
    make();
    const auto group = std::to_string(InterfaceEditor::own_group);
    EXPECT_THAT(shown({"-brief", "link", "show", "group", group}),
                AllOf(HasSubstr("br7"), Not(HasSubstr("another"))));
    EXPECT_THAT(lab::read_file(PORTHOLE_SOURCE_DIR "/systemd/70-porthole.rules"),
                HasSubstr("ATTR{netdev_group}==\"" + group + "\""));
}

TEST_F(InterfaceEditorTest, SetsMtuAndState) {
    make();
    editor_.set_mtu(name_, 1'412);
    editor_.set_up(name_, true);
    EXPECT_THAT(shown({"-o", "link", "show", "br7"}),
                AllOf(HasSubstr("mtu 1412 "), HasSubstr("UP")));
    editor_.set_up(name_, false);
    EXPECT_THAT(shown({"-o", "link", "show", "br7"}), Not(HasSubstr("UP")));
}

TEST_F(InterfaceEditorTest, GivesExactlyTheWantedAddresses) {
    make();
    editor_.set_up(name_, true);
    set_addresses({"10.9.0.1/24", "10.9.0.2/24", "10.9.0.3/24", "fd00:9::1/64"});
    EXPECT_THAT(addresses(), AllOf(HasSubstr("10.9.0.1/24"), HasSubstr("10.9.0.2/24"),
                                   HasSubstr("10.9.0.3/24"), HasSubstr("fd00:9::1/64")));
    // With the first one, the kernel takes the others of its network away.
    set_addresses({"10.9.0.2/24", "10.9.0.4/32", "fd00:9::2/64"});
    EXPECT_THAT(addresses(), AllOf(HasSubstr("10.9.0.2/24"), HasSubstr("10.9.0.4/32"),
                                   HasSubstr("fd00:9::2/64")));
    EXPECT_THAT(addresses(), Not(AnyOf(HasSubstr("10.9.0.1/24"), HasSubstr("10.9.0.3/24"),
                                       HasSubstr("fd00:9::1/64"))));
    set_addresses({"10.9.0.2/24", "10.9.0.4/32", "fd00:9::2/64"});
    set_addresses({});
    EXPECT_THAT(addresses(), Not(AnyOf(HasSubstr("10.9"), HasSubstr("fd00"))));
}

TEST_F(InterfaceEditorTest, GivesALinkLocalAddressAndLeavesTheKernelsOwn) {
    make();
    editor_.set_up(name_, true);
    set_addresses({"fe80::7/64"});
    EXPECT_NO_THROW(set_addresses({"fe80::7/64"}));  // as at a restart
    EXPECT_THAT(addresses(), HasSubstr("fe80::7/64"));
    set_addresses({"fd00::1/64"});
    EXPECT_THAT(addresses(), AllOf(HasSubstr("fd00::1/64"), HasSubstr("fe80::7/64")));
}

TEST_F(InterfaceEditorTest, GivesExactlyTheWantedRoutesAndLeavesThoseOfOthers) {
    make();
    editor_.set_up(name_, true);
    lab::output_of(host_, {"ip", "route", "add", "172.16.0.0/24", "dev", "br7"});
    set_routes({"10.9.0.0/24", "0.0.0.0/0", "fd00:9::/64", "::/0"});
    EXPECT_THAT(routes("-4", "main"), AllOf(HasSubstr("default"), HasSubstr("10.9.0.0/24")));
    EXPECT_THAT(routes("-6", "main"), AllOf(HasSubstr("default"), HasSubstr("fd00:9::/64")));
    set_routes({"10.9.0.0/24", "10.9.1.7/32", "fd00:9::/64"});
    EXPECT_THAT(routes("-4", "main"),
                AllOf(Not(HasSubstr("default")), HasSubstr("10.9.0.0/24"), HasSubstr("10.9.1.7")));
    EXPECT_THAT(routes("-6", "main"), AllOf(Not(HasSubstr("default")), HasSubstr("fd00:9::/64")));
    set_routes({"10.9.0.0/24"}, 1'234, 77);
    EXPECT_THAT(routes("-4", "main"), IsEmpty());
    EXPECT_THAT(routes("-4", "1234"), AllOf(HasSubstr("10.9.0.0/24"), HasSubstr("metric 77")));
    set_routes({});
    EXPECT_THAT(routes("-4", "all"), IsEmpty());
    EXPECT_THAT(shown({"route"}), HasSubstr("172.16.0.0/24"));
}

TEST_F(InterfaceEditorTest, NamesTheRouteThatIsTaken) {
    make();
    editor_.set_up(name_, true);
    lab::output_of(host_, {"ip", "route", "add", "10.9.0.0/24", "dev", "br7"});
    try {
        set_routes({"10.9.0.0/24"});
        FAIL() << "it was taken twice";
    } catch (const KernelFailure& failure) {
        EXPECT_EQ(failure.code(), EEXIST);
        EXPECT_THAT(failure.what(), HasSubstr("add route 10.9.0.0/24 through br7"));
    }
}

}  // namespace
}  // namespace porthole
