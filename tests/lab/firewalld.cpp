// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/firewalld.hpp"

#include <stdexcept>
#include <utility>

namespace porthole::lab {

namespace fs = std::filesystem;

Firewalld::Firewalld(const Namespace& gateway, fs::path unpacked)
    : gateway_(gateway), unpacked_(std::move(unpacked)), bus_(gateway, BusPolicy::everything) {
    const auto configuration = directory_ / "etc";
    fs::copy(unpacked_ / "etc/firewalld", configuration, fs::copy_options::recursive);
    auto arguments = python("usr/sbin/firewalld");
    arguments.insert(
        arguments.end(),
        {"--nofork", "--nopid", "--system-config", configuration.string(), "--default-config",
         (unpacked_ / "usr/lib/firewalld").string(), "--log-target", "console"});
    const auto log = directory_ / "log";
    daemon_.emplace(
        gateway, std::move(arguments),
        Setting{.input = {}, .environment = environment(), .log = log, .before_exec = {}});
    if (!bus_.wait_for_owner("org.fedoraproject.FirewallD1", *daemon_, start_limit)) {
        throw std::runtime_error("firewalld does not start: " + read_file(log));
    }
    // It answers when it has loaded its rules.
    cmd({"--state"});
}

void Firewalld::cmd(const std::vector<std::string>& arguments) const {
    auto all = python("usr/bin/firewall-cmd");
    all.insert(all.end(), arguments.begin(), arguments.end());
    output_of(gateway_, std::move(all),
              {.input = {}, .environment = environment(), .log = {}, .before_exec = {}});
}

// Debian's own Python: another one in PATH has none of its modules.
std::vector<std::string> Firewalld::python(const char* program) const {
    return {"/usr/bin/python3", (unpacked_ / program).string()};
}

std::vector<std::string> Firewalld::environment() const {
    return {bus_.environment(), "PYTHONDONTWRITEBYTECODE=1",
            "PYTHONPATH=" + (unpacked_ / "usr/lib/python3/dist-packages").string()};
}

}  // namespace porthole::lab
