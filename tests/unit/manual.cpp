// SPDX-License-Identifier: GPL-2.0-or-later
// The manual pages say what there is, and nothing else.
#include <filesystem>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pugixml.hpp>

#include "cli/arguments.hpp"
#include "configuration_errors.hpp"
#include "core/configuration.hpp"
#include "manual_page.hpp"

namespace porthole {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::IsSubsetOf;
using testing::IsSupersetOf;
using testing::SizeIs;

using Words = std::set<std::string>;

// By the whole name of each command: its options.
using Options = std::map<std::string, Words>;

void add_commands(const std::vector<std::string>& command, Options& options) {
    auto arguments = command;
    arguments.emplace_back("--help");
    const auto help = std::get<cli::Stop>(cli::parse_arguments(arguments)).text;
    const auto name =
        std::accumulate(command.begin(), command.end(), std::string(),
                        [](const auto& a, const auto& b) { return a.empty() ? b : a + ' ' + b; });
    const bool is_group = std::regex_search(help, std::regex("Usage:.* SUBCOMMAND\n"));
    if (!is_group) {
        options[name] = manual::all(help, R"(\n  (?:-h,)?(--[a-z-]+))");
        options[name].erase("--help");
    }
    const auto subcommands = help.find("\nSubcommands:\n");
    if (subcommands == std::string::npos) return;
    for (const auto& each : manual::all(help.substr(subcommands), R"(\n  ([a-z]+))")) {
        auto longer = command;
        longer.push_back(each);
        add_commands(longer, options);
    }
}

Options commands() {
    Options options;
    add_commands({}, options);
    return options;
}

TEST(Manual, HasEveryCommandWithItsOptions) {
    auto expected = commands();
    EXPECT_THAT(expected, SizeIs(testing::Gt(20U)));
    const auto page = manual::sections("portholectl.1");
    EXPECT_THAT(manual::bold_terms(page.at("OPTIONS")), IsSupersetOf(expected.at("")));
    expected.erase("");

    Options described;
    Words explained;
    for (const auto& term : manual::terms(page.at("COMMANDS"))) {
        auto options = manual::all(term, R"(\*(--[a-z-]+)\*)");
        std::smatch command;
        if (std::regex_search(term, command, std::regex(R"(^\*([a-z ]+)\*)"))) {
            described[command[1]] = std::move(options);
        } else {
            explained.merge(options);
        }
    }
    EXPECT_EQ(described, expected);
    Words all;
    for (auto& [unused, options] : expected) all.merge(options);
    EXPECT_EQ(explained, all);
}

// Of dictionaries and JSON objects in a source.
Words keys_that_are_set(const std::string& text) {
    auto keys = manual::all(text, R"re(\{"([a-z][a-z0-9-]*)",)re");
    keys.merge(manual::all(text, R"re(\["([a-z][a-z0-9-]*)"\] =)re"));
    keys.merge(manual::all(text, R"re(\bput\("([a-z0-9-]+)")re"));
    return keys;
}

// The keys of the objects that are printed, as far as they are not put together at run time.
TEST(Manual, HasEveryFieldOfJson) {
    Words fields;
    for (const auto* const file :
         {"cli/commands.cpp", "cli/difference.cpp", "cli/output.cpp", "dbus/replies.cpp"}) {
        const auto text = manual::source(file);
        fields.merge(keys_that_are_set(text));
    }
    EXPECT_THAT(fields, IsSupersetOf({"external-port", "nat66-address", "used-port", "answered"}));
    const auto page = manual::sections("portholectl.1");
    EXPECT_THAT(fields, IsSubsetOf(manual::all(page.at("JSON"), R"(\*([a-z0-9-]+)\*)")));
}

// What the parser says of a key that it does not know.
Words allowed_in(const std::string& table) {
    const auto above = table == "[[tunnel.peer]]" ? "[[tunnel]]\n" : "";
    for (const auto& error : support::errors_of(above + table + "\nunknown = 1\n")) {
        constexpr std::string_view allowed = "allowed here:";
        const auto list = error.find(allowed);
        if (list == std::string::npos) continue;
        return manual::all(error.substr(list + allowed.size()), R"(([a-z0-9-]+))");
    }
    ADD_FAILURE() << "the parser knows no " << table;
    return {};
}

TEST(Manual, HasEveryKeyOfTheConfiguration) {
    auto tables = allowed_in("");
    for (const auto& [heading, section] : manual::sections("porthole.toml.5")) {
        if (!heading.starts_with('[')) continue;
        EXPECT_EQ(manual::bold_terms(section), allowed_in(heading)) << heading;
        tables.erase(
            heading.substr(heading.rfind('[') + 1, heading.find(']') - heading.rfind('[') - 1));
    }
    EXPECT_EQ(tables, Words());
}

TEST(Manual, HasTheDefaults) {
    const std::regex value(R"(Default: \*([^*]+)\*|\*([^*]+)\* \(default)");
    std::string text;
    int count = 0;
    for (const auto& [heading, section] : manual::sections("porthole.toml.5")) {
        if (heading != "[nat]" && heading != "[auto]") continue;
        text += heading + '\n';
        std::string key;
        for (const auto& line : manual::lines_of(section)) {
            if (line.starts_with('*')) key = line.substr(1, line.size() - 2);
            std::smatch found;
            if (!std::regex_search(line, found, value)) continue;
            text += key + " = " + found[1].str() + found[2].str() + '\n';
            ++count;
        }
    }
    EXPECT_EQ(count, 10) << text;
    EXPECT_EQ(parse_configuration(text, "the defaults"), Configuration()) << text;
}

std::vector<fs::path> sources_of(const std::vector<std::string>& rooms) {
    std::vector<fs::path> files;
    for (const auto& room : rooms) {
        for (const auto& entry :
             fs::recursive_directory_iterator(fs::path(PORTHOLE_SOURCE_DIR) / room)) {
            const auto extension = entry.path().extension();
            if (extension == ".cpp" || extension == ".hpp") {
                files.push_back(fs::relative(entry.path(), PORTHOLE_SOURCE_DIR));
            }
        }
    }
    return files;
}

TEST(Manual, HasEveryKeyOfTheLog) {
    Words keys;
    for (const auto& file : sources_of({"plugin", "netlink", "nft", "wg", "resolver", "dbus"})) {
        const auto text = manual::source(file);
        keys.merge(manual::all(text, R"re(log::(?:info|warning|error)\(\s*"([^"]*)")re"));
        // One that the page could not be compared with.
        EXPECT_THAT(manual::all(text, R"re((log::(?:info|warning|error)\(\s*[^"\s]))re"),
                    testing::IsEmpty())
            << file;
    }
    EXPECT_EQ(manual::bold_terms(manual::sections("portholed.8").at("LOG")), keys);
}

TEST(Manual, HasEveryOptionOfTheService) {
    Words options;
    for (const auto& name :
         manual::all(manual::source("plugin/daemon/options.cpp"), R"re(option\{"([a-z-]+)")re")) {
        options.insert("--" + name);
    }
    EXPECT_THAT(options, SizeIs(5));
    EXPECT_EQ(manual::bold_terms(manual::sections("portholed.8").at("OPTIONS")), options);
}

// The page that is made from the contract.
class ContractManual : public testing::Test {
  protected:
    void SetUp() override {
        std::ifstream stream(PORTHOLE_MAN_DIR "/org.porthole.Gateway1.5");
        page.assign(std::istreambuf_iterator<char>(stream), {});
        if (page.empty()) GTEST_SKIP() << "the manual pages are not made: see PORTHOLE_MAN";
        page = std::regex_replace(page, std::regex(R"(\\&)"), "");
    }

    /// Whether the page explains this key of a dictionary: in a table, or with its type.
    [[nodiscard]] bool describes(const std::string& key) const {
        const std::regex entry("[ \n]\"?" + key + R"("?(  |[ \n](as|a?a\{sv\}|[sbqutx])[ :;,\n]))");
        return std::regex_search(page, entry);
    }

    std::string page;
};

TEST_F(ContractManual, HasEveryMember) {
    std::size_t members = 0;
    for (const auto* const file :
         {"org.porthole.Gateway1.xml", "org.porthole.Gateway1.Tunnel.xml"}) {
        pugi::xml_document contract;
        ASSERT_TRUE(contract.load_string(manual::source(std::string("dbus/") + file).c_str()));
        for (const auto& interface : contract.child("node").children("interface")) {
            const auto heading = std::string("\n.SH ") + interface.attribute("name").value() + '\n';
            const auto begin = page.find(heading);
            ASSERT_NE(begin, std::string::npos) << heading;
            const auto section = page.substr(begin, page.find("\n.SH ", begin + 1) - begin);
            for (const auto& member : interface.children()) {
                if (member.type() != pugi::node_element) continue;
                const std::string name = member.attribute("name").value();
                EXPECT_THAT(section,
                            HasSubstr(".SS " + std::string(member.name()) + ' ' + name + '\n'));
                EXPECT_THAT(section, HasSubstr("\\fB" + name + "\\fR"));
                ++members;
            }
        }
    }
    EXPECT_GE(members, 40U);
}

TEST_F(ContractManual, HasEveryError) {
    const auto errors = manual::source("dbus/errors.cpp");
    const auto own = manual::all(errors, R"re(own\("(\w+)"\))re");
    EXPECT_THAT(own, Contains("PortTaken"));
    for (const auto& name : own)
        EXPECT_THAT(page, HasSubstr("org.porthole.Gateway1.Error." + name));
    for (const auto& name : manual::all(errors, R"re("(org\.freedesktop\.[\w.]+)")re"))
        EXPECT_THAT(page, HasSubstr(name));
}

TEST_F(ContractManual, HasEveryKeyOfADictionary) {
    Words keys;
    for (const auto* const file : {"dbus/requests.cpp", "dbus/tunnel_requests.cpp"}) {
        const auto text = manual::source(file);
        keys.merge(manual::all(text, R"re(\breader\.\w+(?:<[^()]*>)?\("([a-z-]+)"\))re"));
        keys.merge(manual::all(text, R"re(\breader, "([a-z-]+)"\))re"));
    }
    EXPECT_THAT(keys, IsSupersetOf({"on-conflict", "search", "preshared-key", "networks"}));
    keys.merge(keys_that_are_set(manual::source("dbus/replies.cpp")));
    for (const auto& key : keys) EXPECT_TRUE(describes(key)) << key;
    EXPECT_FALSE(describes("unheard-of"));
}

TEST_F(ContractManual, HasEveryFeature) {
    const auto service = manual::source("dbus/gateway_object.cpp");
    const auto list =
        manual::all(service, R"(Features[^}]*return std::vector<std::string>\{([^}]*)\})");
    ASSERT_THAT(list, SizeIs(1));
    for (const auto& word : manual::all(*list.begin(), R"re("([a-z0-9-]+)")re")) {
        EXPECT_THAT(page, HasSubstr("\n  \"" + word + "\"  ")) << word;
    }
}

}  // namespace
}  // namespace porthole
