// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/polkit.hpp"

#include <filesystem>
#include <stdexcept>
#include <string>

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

namespace porthole::lab {
namespace {

constexpr auto program = "/usr/lib/polkit-1/polkitd";
constexpr Duration start_limit{10'000};

// Who is in no rule has to authenticate as an administrator.
constexpr std::string_view action = R"(
  <action id="org.porthole.gateway1.{}">
    <description>Test</description>
    <message>Test</message>
    <defaults>
      <allow_any>auth_admin_keep</allow_any>
      <allow_inactive>auth_admin_keep</allow_inactive>
      <allow_active>auth_admin_keep</allow_active>
    </defaults>
  </action>)";

}  // namespace

bool Polkit::is_there() { return access(program, X_OK) == 0; }

Polkit::Polkit(const Namespace& where, const Bus& bus, std::string_view rules) {
    const auto actions = (directory_ / "actions").string();
    const auto rule_files = (directory_ / "rules.d").string();
    std::filesystem::create_directory(actions);
    std::filesystem::create_directory(rule_files);
    write_file(actions + "/org.porthole.gateway1.policy",
               fmt::format("<policyconfig>{}{}\n</policyconfig>\n", fmt::format(action, "manage"),
                           fmt::format(action, "secrets")));
    set_rules(rules);
    daemon_.emplace(
        where, std::vector<std::string>{program, "--no-debug"},
        Setting{
            .environment = {bus.environment()},
            .before_exec = [from = actions.c_str(), rules_from = rule_files.c_str()] {
                if (unshare(CLONE_NEWNS) != 0 ||
                    mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                    mount(from, "/usr/share/polkit-1/actions", nullptr, MS_BIND, nullptr) != 0 ||
                    mount(rules_from, "/etc/polkit-1/rules.d", nullptr, MS_BIND, nullptr) != 0) {
                    _exit(99);
                }
            }});
    if (!bus.wait_for_owner("org.freedesktop.PolicyKit1", *daemon_, start_limit)) {
        throw std::runtime_error("polkitd does not start: " + daemon_->errors());
    }
}

void Polkit::set_rules(std::string_view rules) const {
    // In one step: it may be reading.
    const auto file = directory_ / "rules.d" / "50-test.rules";
    const auto unfinished = directory_ / "rules";
    write_file(unfinished, rules);
    std::filesystem::permissions(unfinished, std::filesystem::perms::others_read,
                                 std::filesystem::perm_options::add);
    std::filesystem::rename(unfinished, file);
}

}  // namespace porthole::lab
