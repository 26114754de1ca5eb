// SPDX-License-Identifier: GPL-2.0-or-later
// Who may do what, by the real polkit and without it.
#include <csignal>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pugixml.hpp>

#include "bus_client.hpp"
#include "lab/authentication_agent.hpp"
#include "lab/polkit.hpp"
#include "lab/two_sites.hpp"
#include "lab/wireguard.hpp"
#include "users.hpp"

namespace porthole {
namespace {

using testing::HasSubstr;

constexpr auto access_denied = "org.freedesktop.DBus.Error.AccessDenied";

// Users that every Debian has, and the rules below.
constexpr uid_t root = 0;
constexpr uid_t games = 5;       // may do everything
constexpr uid_t man = 6;         // may do nothing
constexpr uid_t news = 9;        // may change things, and be given no secrets
constexpr uid_t nobody = 65534;  // is in no rule: has to authenticate
constexpr gid_t porthole_group = PortholeGroup::id;

constexpr std::string_view rules = R"(
polkit.addRule(function(action, subject) {
    if (subject.user == "games") return polkit.Result.YES;
    if (subject.user == "man") return polkit.Result.NO;
    if (subject.user == "news" && action.id == "org.porthole.gateway1.manage")
        return polkit.Result.YES;
});
)";
constexpr std::string_view rules_without_anybody =
    "polkit.addRule(function(action, subject) { return polkit.Result.NO; });";

enum class Needs : std::uint8_t { nothing, manage, secrets };

// Every method is here: one that is not makes the test fail.
const std::map<std::string, Needs>& needs() {
    static const std::map<std::string, Needs> all{
        {"Reservations.Reserve", Needs::manage}, {"Reservations.ReserveMany", Needs::manage},
        {"Reservations.Change", Needs::manage},  {"Reservations.Release", Needs::manage},
        {"Reservations.List", Needs::nothing},   {"Reservations.Find", Needs::nothing},
        {"Conflicts.List", Needs::nothing},      {"Conflicts.Resolve", Needs::manage},
        {"Hosts.List", Needs::nothing},          {"Tunnels.Create", Needs::manage},
        {"Tunnels.Import", Needs::manage},       {"Tunnels.Invite", Needs::secrets},
        {"Tunnels.Join", Needs::manage},         {"Tunnels.Delete", Needs::manage},
        {"Diagnostics.Explain", Needs::nothing}, {"Manager.Reload", Needs::manage},
        {"Manager.SetEnabled", Needs::manage},   {"Manager.Checkpoint", Needs::manage},
        {"Manager.Extend", Needs::manage},       {"Manager.Commit", Needs::manage},
        {"Manager.Rollback", Needs::manage},     {"Manager.Status", Needs::nothing},
        {"Tunnel.Configure", Needs::manage},     {"Tunnel.SetPeers", Needs::manage},
        {"Tunnel.SetPeer", Needs::manage},       {"Tunnel.RemovePeer", Needs::manage},
        {"Tunnel.Export", Needs::secrets},       {"Tunnel.ListPeers", Needs::nothing},
    };
    return all;
}

struct Method {
    std::string object;
    std::string interface;
    std::string name;
    std::vector<std::string> arguments;  ///< their types
};

std::vector<Method> methods_of(const std::string& file, const std::string& object) {
    pugi::xml_document document;
    EXPECT_TRUE(document.load_file(file.c_str()));
    std::vector<Method> methods;
    for (const auto& found : document.select_nodes("/node/interface/method")) {
        const auto node = found.node();
        Method method{
            object, node.parent().attribute("name").value(), node.attribute("name").value(), {}};
        for (const auto& argument : node.children("arg")) {
            if (argument.attribute("direction").value() == std::string("in")) {
                method.arguments.emplace_back(argument.attribute("type").value());
            }
        }
        methods.push_back(std::move(method));
    }
    return methods;
}

// Nothing, of this type.
void append_nothing(sdbus::Message& message, const std::string& type) {
    if (type == "s") {
        message << std::string();
    } else if (type == "q") {
        message << std::uint16_t{0};
    } else if (type == "u") {
        message << std::uint32_t{0};
    } else if (type == "t") {
        message << std::uint64_t{0};
    } else if (type == "b") {
        message << false;
    } else {
        ASSERT_EQ(type.front(), 'a') << type;
        message.openContainer(type.substr(1));
        message.closeContainer();
    }
}

// The name of the error that a call without any content ends with; it may end with none.
std::string error_of_calling(const Method& method, sdbus::IConnection& connection) {
    const auto proxy = sdbus::createProxy(connection, dbus::service_name, method.object);
    auto call = proxy->createMethodCall(method.interface, method.name);
    for (const auto& type : method.arguments) append_nothing(call, type);
    return error_of([&] { proxy->callMethod(call); }).first;
}

struct Caller {
    const char* who;
    uid_t user;
    gid_t group;
    bool may_manage;
    bool may_have_secrets;
};

class Authorization : public testing::Test {
  protected:
    Authorization() { porthole.start(group_.setting()); }

    void start_polkit() { polkit.emplace(sites.gateway_a, porthole.bus(), rules); }

    [[nodiscard]] BusClient client(uid_t user, gid_t group) const {
        const As somebody(user, group);
        return BusClient(porthole);
    }

    [[nodiscard]] std::vector<Method> methods() {
        const std::string contract = PORTHOLE_SOURCE_DIR "/dbus/org.porthole.Gateway1";
        auto all = methods_of(contract + ".xml", dbus::object_path);
        const auto of_tunnels =
            methods_of(contract + ".Tunnel.xml", std::string(dbus::object_path) + "/tunnel/wg0");
        for (const auto& method : of_tunnels) {
            EXPECT_TRUE(needs().contains(name_of(method))) << name_of(method);
        }
        if (lab::kernel_has_wireguard()) {
            BusClient(porthole)
                .proxy()
                .callMethod("Create")
                .onInterface("org.porthole.Gateway1.Tunnels")
                .withArguments(std::string("wg0"), dbus::Dictionary(), dbus::Dictionary());
            all.insert(all.end(), of_tunnels.begin(), of_tunnels.end());
        }
        return all;
    }

    static std::string name_of(const Method& method) {
        constexpr std::string_view common = "org.porthole.Gateway1.";
        return method.interface.substr(common.size()) + "." + method.name;
    }

    void expect_what_they_may_do(const std::vector<Caller>& callers) {
        const auto all = methods();
        ASSERT_GE(all.size(), 16U);
        for (const auto& caller : callers) {
            auto connected = client(caller.user, caller.group);
            for (const auto& method : all) {
                const auto name = name_of(method);
                SCOPED_TRACE(fmt::format("{}, by {}", name, caller.who));
                ASSERT_TRUE(needs().contains(name)) << "say what it needs";
                const auto need = needs().at(name);
                const bool may =
                    need == Needs::nothing ||
                    (need == Needs::manage ? caller.may_manage : caller.may_have_secrets);
                const auto error = error_of_calling(method, connected.connection());
                EXPECT_EQ(error == access_denied, !may) << error;
                EXPECT_THAT(error, testing::Not(HasSubstr("Unknown")));
            }
        }
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
    std::optional<lab::Polkit> polkit;

  private:
    PortholeGroup group_;
};

class AuthorizationByPolkit : public Authorization {
  protected:
    void SetUp() override {
        if (!lab::Polkit::is_there()) GTEST_SKIP() << "polkitd is not installed";
        start_polkit();
    }
    [[nodiscard]] static std::pair<std::string, std::string> reserve(BusClient& client) {
        return error_of([&] { client.reserve("192.168.2.2", "udp", 51820); });
    }
};

TEST_F(AuthorizationByPolkit, DecidesForEveryMethod) {
    expect_what_they_may_do({
        {"root", root, root, true, true},
        {"who may do everything", games, games, true, true},
        {"who may change things", news, news, true, false},
        {"who may do nothing", man, man, false, false},
        {"who would have to authenticate", nobody, nobody, false, false},
        {"a member of the group", nobody, porthole_group, false, false},
        {"a member of the group who may do nothing", man, porthole_group, false, false},
    });
}

TEST_F(Authorization, IsTheGroupsWithoutPolkit) {
    expect_what_they_may_do({
        {"root", root, root, true, true},
        {"a member of the group", nobody, porthole_group, true, true},
        {"an outsider", games, games, false, false},
    });
}

TEST_F(AuthorizationByPolkit, SaysWhatIsMissing) {
    auto refused = client(man, man);
    EXPECT_THAT(reserve(refused), testing::Pair(access_denied, HasSubstr("does not authorize")));
    auto unknown = client(nobody, nobody);
    EXPECT_THAT(reserve(unknown), testing::Pair(access_denied, HasSubstr("authentication")));
}

TEST_F(AuthorizationByPolkit, FollowsItsRules) {
    auto somebody = client(games, games);
    EXPECT_EQ(reserve(somebody).first, "");
    polkit->set_rules(rules_without_anybody);
    EXPECT_TRUE(lab::comes_true([&] { return reserve(somebody).first == access_denied; }));
    polkit->set_rules(rules);
    EXPECT_TRUE(lab::comes_true([&] { return reserve(somebody).first.empty(); }));
}

TEST_F(AuthorizationByPolkit, IsNotTheGroupsWhenPolkitFails) {
    auto member = client(nobody, porthole_group);
    polkit->process().signal(SIGSTOP);
    auto asked = member.proxy().createMethodCall(BusClient::reservations, "Reserve");
    asked << std::string("192.168.2.2") << std::string("udp") << std::uint16_t{51820}
          << dbus::Dictionary();
    std::optional<std::string> answer;
    const auto pending =
        member.proxy().callMethod(asked, [&](sdbus::MethodReply&, const sdbus::Error* error) {
            answer = error != nullptr ? error->getName() : "";
        });
    // It has been asked once its question is among the pending ones: it ends without an answer
    // then.
    BusClient(porthole).status();
    polkit.reset();
    EXPECT_TRUE(lab::comes_true([&] {
        member.connection().processPendingRequest();
        return answer.has_value();
    }));
    EXPECT_EQ(answer, access_denied);
    // Where it is not there at all, the group decides, until it is there again.
    EXPECT_EQ(reserve(member).first, "");
    start_polkit();
    EXPECT_EQ(reserve(member).first, access_denied);
}

TEST_F(AuthorizationByPolkit, IsTheGroupsOnceItHasGone) {
    auto somebody = client(games, games);
    EXPECT_EQ(reserve(somebody).first, "");
    polkit.reset();
    EXPECT_TRUE(lab::comes_true([&] { return reserve(somebody).first == access_denied; }));
}

// portholectl, by somebody who has to authenticate.
TEST_F(AuthorizationByPolkit, AsksThePersonAtTheTerminal) {
    const auto asked = [this](const std::string& redirection, int expected_status) {
        // It waits for a line, so that the agent is there in time.
        lab::Process ctl(
            sites.gateway_a,
            {"sh", "-c", "read -r _; exec \"$0\" reserve 192.168.2.2 udp 51820" + redirection,
             PORTHOLECTL},
            {.environment = {porthole.bus().environment()},
             .terminal = lab::Terminal{},
             .before_exec = lab::as_user(nobody, nobody)});
        const lab::AuthenticationAgent agent(porthole.bus(), ctl.id(), nobody);
        ctl.type("\n");
        EXPECT_EQ(ctl.wait(lab::command_limit), expected_status) << ctl.output();
        return agent.asked();
    };
    EXPECT_THAT(asked("", 0), testing::ElementsAre("org.porthole.gateway1.manage"));
    // A script's calls end at once.
    EXPECT_THAT(asked(" </dev/null", 1), testing::IsEmpty());
}

// Nobody else waits for whom polkit takes its time for, and nothing is left of who has gone.
TEST_F(AuthorizationByPolkit, IsAskedByClientsThatDisappear) {
    constexpr int rounds = 300;
    auto somebody = client(root, root);
    ASSERT_EQ(reserve(somebody).first, "");
    polkit->process().signal(SIGSTOP);
    const auto before = porthole.memory("VmRSS");
    for (int i = 0; i < rounds; ++i) {
        auto vanishing = client(nobody, nobody);
        auto asked = vanishing.proxy().createMethodCall(BusClient::reservations, "Reserve");
        asked << std::string("192.168.2.2") << std::string("udp") << std::uint16_t{51821}
              << dbus::Dictionary();
        const auto pending = vanishing.proxy().callMethod(asked, [](auto&&...) {});
        while (vanishing.connection().processPendingRequest()) {
        }
        ASSERT_EQ(reserve(somebody).first, "");
    }
    if (!lab::Porthole::keeps_what_it_frees) {
        EXPECT_LT(porthole.memory("VmRSS"), before + (std::size_t{4} << 20U));
    }
    polkit->process().signal(SIGCONT);
    auto allowed = client(games, games);
    EXPECT_EQ(reserve(allowed).first, "");
}

}  // namespace
}  // namespace porthole
