// SPDX-License-Identifier: GPL-2.0-or-later
// Where the keys of tunnels are, and where they are not.
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "two_gateways.hpp"
#include "types/key.hpp"

namespace porthole {
namespace {

using testing::HasSubstr;
using testing::Not;

/// All that a process has in memory but what is locked: what is swapped out, or in a core image.
std::string unlocked_memory(pid_t process) {
    const auto directory = fmt::format("/proc/{}", process);
    std::ifstream map(directory + "/smaps");
    std::ifstream memory(directory + "/mem", std::ios::binary);
    std::string all;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool readable = false;
    for (std::string line; std::getline(map, line);) {
        std::istringstream fields(line);
        std::string first;
        fields >> first;
        if (const auto dash = first.find('-'); dash != std::string::npos) {
            begin = std::stoull(first.substr(0, dash), nullptr, 16);
            end = std::stoull(first.substr(dash + 1), nullptr, 16);
            std::string access;
            fields >> access;
            readable = access.starts_with('r');
        } else if (first == "VmFlags:") {
            const bool locked = line.find(" lo") != std::string::npos ||
                                line.find(" dd") != std::string::npos ||
                                line.find(" io") != std::string::npos;
            if (!readable || locked) continue;
            std::string part(end - begin, '\0');
            memory.clear();
            memory.seekg(static_cast<std::streamoff>(begin));
            memory.read(part.data(), static_cast<std::streamsize>(part.size()));
            part.resize(static_cast<std::size_t>(memory.gcount()));
            all += part;
        }
    }
    return all;
}

// Most of it: memory that is given back has other things at its ends at once.
std::string most_of(std::string_view secret) {
    return std::string(secret.substr(secret.size() / 4, secret.size() / 2));
}

// The value of the only line of a file of wg-quick that has this key.
std::string value_of(const std::string& file, const std::string& key) {
    const auto at = file.find(key + " = ");
    if (at == std::string::npos) return ADD_FAILURE() << "no " << key << " in " << file, "";
    const auto begin = at + key.size() + 3;
    return file.substr(begin, file.find('\n', begin) - begin);
}

class TunnelSecretsTest : public TwoGateways {
  protected:
    // Neither as it is, nor as text.
    static void expect_no_key_in(const std::string& memory, const std::string& base64) {
        const auto key = PrivateKey::read("key", base64);
        EXPECT_EQ(memory.find(most_of(std::string(key.bytes().begin(), key.bytes().end()))),
                  std::string::npos);
        EXPECT_EQ(memory.find(most_of(base64)), std::string::npos);
    }
    static bool has_key(const std::string& memory, const std::string& base64) {
        const auto key = parse<PublicKey>("key", base64);
        return memory.find(std::string(key.bytes().begin(), key.bytes().end())) !=
               std::string::npos;
    }
};

TEST_F(TunnelSecretsTest, KeysAreInLockedMemoryOnly) {
    connect_sites();
    a.restart();
    done(a, {"tunnel", "create", "wg1"});
    done(a, {"tunnel", "peer", "set", "wg0", key_of(b), "--keepalive", "7"});
    (void)tunnel(a);
    const auto memory = unlocked_memory(a.process()->id());
    ASSERT_TRUE(has_key(memory, key_of(b)));
    for (const auto* interface : {"wg0", "wg1"}) {
        const auto key = lab::output_of(sites.gateway_a, {"wg", "show", interface, "private-key"});
        expect_no_key_in(memory, key.substr(0, key.find('\n')));
    }
}

TEST_F(TunnelSecretsTest, KeysForADeviceAreNowhereOnceItHasThem) {
    create_tunnels();
    const auto invited = done(a, {"tunnel", "invite", "wg0", "--name", "laptop"});
    const auto file = invited["configuration"].get<std::string>();
    const auto exported =
        done(a, {"tunnel", "export", "wg0", invited["public-key"].get<std::string>()});
    EXPECT_EQ(value_of(exported["configuration"].get<std::string>(), "PresharedKey"),
              value_of(file, "PresharedKey"));
    const auto memory = unlocked_memory(a.process()->id());
    ASSERT_TRUE(has_key(memory, invited["public-key"].get<std::string>()));
    expect_no_key_in(memory, value_of(file, "PrivateKey"));
    expect_no_key_in(memory, value_of(file, "PresharedKey"));
}

TEST_F(TunnelSecretsTest, LinesForAGatewayAreNowhereOnceItHasThem) {
    done(a, {"tunnel", "create", "wg0", "--addresses", "10.9.0.1/24"});
    const auto line = done(a, {"tunnel", "invite", "wg0", "--gateway"})["line"].get<std::string>();
    const auto joined = done(b, {"tunnel", "join"}, line);
    done(a, {"tunnel", "join"}, joined["answer"].get<std::string>());
    const auto preshared = lab::output_of(sites.gateway_b, {"wg", "show", "wg0", "preshared-keys"});
    const auto key = preshared.substr(preshared.find('\t') + 1, 44);
    for (auto* gateway : {&a, &b}) {
        const auto memory = unlocked_memory(gateway->process()->id());
        ASSERT_TRUE(has_key(memory, key_of(gateway == &a ? b : a)));
        EXPECT_EQ(memory.find(most_of(line)), std::string::npos);
        expect_no_key_in(memory, key);
    }
}

TEST_F(TunnelSecretsTest, FilesThatWereImportedAreNowhere) {
    const std::string key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
    const std::string peer = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
    done(a, {"tunnel", "import", "wg0", "-"},
         fmt::format("[Interface]\nPrivateKey = {}\n[Peer]\nPublicKey = {}\n", key, peer));
    const auto memory = unlocked_memory(a.process()->id());
    ASSERT_TRUE(has_key(memory, peer));
    expect_no_key_in(memory, key);
}

// Neither in its files, nor in its log.
TEST_F(TunnelSecretsTest, KeepTheirKeysFromEverybody) {
    connect_sites();
    a.restart();
    const auto base64 = lab::output_of(sites.gateway_a, {"wg", "show", "wg0", "private-key"});
    const auto key = PrivateKey::read("key", base64.substr(0, base64.find('\n')));
    const std::string bytes(key.bytes().begin(), key.bytes().end());
    EXPECT_THAT(a.log(), Not(HasSubstr(base64.substr(0, 40))));
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(a.state_directory())) {
        std::ifstream file(entry.path(), std::ios::binary);
        const std::string content(std::istreambuf_iterator<char>(file), {});
        EXPECT_EQ(content.find(bytes), std::string::npos) << entry.path();
        EXPECT_EQ(content.find(base64.substr(0, 40)), std::string::npos) << entry.path();
        EXPECT_EQ(entry.status().permissions() & std::filesystem::perms(077),
                  std::filesystem::perms::none)
            << entry.path();
        ++files;
    }
    EXPECT_GE(files, 2U);
}

}  // namespace
}  // namespace porthole
