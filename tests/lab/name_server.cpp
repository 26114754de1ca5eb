// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/name_server.hpp"

#include <stdexcept>

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

namespace porthole::lab {
namespace {

constexpr Duration start_limit{10'000};

std::vector<std::string> command_line(std::string_view address,
                                      const std::vector<std::string>& hosts) {
    std::vector<std::string> arguments{
        "dnsmasq",           "--no-daemon",           "--conf-file=/dev/null",
        "--no-hosts",        "--no-resolv",
        "--local=/#/",  // no name is asked of others
        "--bind-interfaces", "--except-interface=lo", fmt::format("--listen-address={}", address)};
    for (const auto& host : hosts) arguments.push_back("--host-record=" + host);
    return arguments;
}

}  // namespace

NameServer::NameServer(const Namespace& where, std::string_view address,
                       const std::vector<std::string>& hosts)
    : process_(where, command_line(address, hosts)) {
    if (!process_.wait_for_output("started, version", start_limit)) {
        throw std::runtime_error("dnsmasq does not start: " + process_.errors());
    }
}

std::function<void()> with_resolv_conf(const char* path) {
    return [path] {
        if (unshare(CLONE_NEWNS) != 0 ||
            mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            mount(path, "/etc/resolv.conf", nullptr, MS_BIND, nullptr) != 0) {
            _exit(99);
        }
    };
}

}  // namespace porthole::lab
