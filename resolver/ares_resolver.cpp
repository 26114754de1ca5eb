// SPDX-License-Identifier: GPL-2.0-or-later
#include "resolver/ares_resolver.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <system_error>
#include <utility>

#include <ares.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

namespace porthole::resolver {
namespace {

// Each server is asked three times, for twice as long each time: with one of them, 14 s in all.
constexpr int first_try_ms = 2000;
constexpr int tries = 3;

void watch(void* epoll, ares_socket_t socket, int readable, int writable) {
    const int descriptor = *static_cast<const int*>(epoll);
    epoll_event event{};
    event.events =
        (readable != 0 ? unsigned{EPOLLIN} : 0U) | (writable != 0 ? unsigned{EPOLLOUT} : 0U);
    event.data.fd = socket;
    if (event.events == 0) {
        epoll_ctl(descriptor, EPOLL_CTL_DEL, socket, nullptr);
    } else if (epoll_ctl(descriptor, EPOLL_CTL_MOD, socket, &event) != 0) {
        epoll_ctl(descriptor, EPOLL_CTL_ADD, socket, &event);
    }
}

std::optional<Address> address_of(const ares_addrinfo_node& node) {
    const void* name = node.ai_addr;
    if (node.ai_family == AF_INET) {
        return Address::v4(ntohl(static_cast<const sockaddr_in*>(name)->sin_addr.s_addr));
    }
    return Address::from_bytes(static_cast<const sockaddr_in6*>(name)->sin6_addr.s6_addr);
}

std::vector<Address> addresses_of(const ares_addrinfo& found) {
    std::vector<Address> addresses;
    for (const auto* node = found.nodes; node != nullptr; node = node->ai_next) {
        const auto address = address_of(*node);
        if (address && std::ranges::find(addresses, *address) == addresses.end()) {
            addresses.push_back(*address);
        }
    }
    return addresses;
}

std::filesystem::file_time_type version_of(const std::filesystem::path& file) {
    std::error_code missing;
    return last_write_time(file, missing);
}

}  // namespace

/// What c-ares has made of one state of the configuration, and the questions on their way.
class AresResolver::Channel {
  public:
    Channel(std::string configuration, int& epoll, std::vector<Resolution>& finished)
        : finished_(finished) {
        ares_options options{};
        options.timeout = first_try_ms;
        options.tries = tries;
        options.sock_state_cb = watch;
        options.sock_state_cb_data = &epoll;
        options.resolvconf_path = configuration.data();
        status_ = ares_init_options(
            &handle_, &options,
            ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF);
    }
    ~Channel() {
        if (status_ == ARES_SUCCESS) ares_destroy(handle_);
    }
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;
    Channel(Channel&&) = delete;
    Channel& operator=(Channel&&) = delete;

    void ask(const std::string& host) {
        if (status_ != ARES_SUCCESS) {
            finished_.push_back({host, {}, ares_strerror(status_)});
            return;
        }
        ares_addrinfo_hints hints{};
        hints.ai_family = AF_UNSPEC;
        hints.ai_socktype = SOCK_DGRAM;
        auto question = std::make_unique<Question>(Question{finished_, host});
        ares_getaddrinfo(handle_, host.c_str(), nullptr, &hints, answered, question.release());
    }

    [[nodiscard]] std::optional<std::chrono::milliseconds> timeout() const {
        timeval left{};
        if (status_ != ARES_SUCCESS || ares_timeout(handle_, nullptr, &left) == nullptr) {
            return std::nullopt;
        }
        return std::chrono::ceil<std::chrono::milliseconds>(
            std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec));
    }

    void work(int epoll) {
        if (status_ != ARES_SUCCESS) return;
        std::array<epoll_event, 16> ready{};
        const int count = epoll_wait(epoll, ready.data(), static_cast<int>(ready.size()), 0);
        const auto some = static_cast<std::size_t>(std::max(count, 0));
        for (const auto& event : std::span(ready).first(some)) {
            const bool readable = (event.events & ~unsigned{EPOLLOUT}) != 0;  // or broken
            const bool writable = (event.events & ~unsigned{EPOLLIN}) != 0;
            ares_process_fd(handle_, readable ? event.data.fd : ARES_SOCKET_BAD,
                            writable ? event.data.fd : ARES_SOCKET_BAD);
        }
        ares_process_fd(handle_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // what takes too long
    }

  private:
    struct Question {
        std::vector<Resolution>& finished;
        std::string host;
    };

    // c-ares calls it once for every question, at the latest when the channel goes.
    static void answered(void* asked, int status, int /*timeouts*/, ares_addrinfo* found) {
        const std::unique_ptr<Question> question(static_cast<Question*>(asked));
        const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> answer(
            found, ares_freeaddrinfo);
        if (status == ARES_EDESTRUCTION) return;
        Resolution resolution{question->host, {}, {}};
        if (answer) resolution.addresses = addresses_of(*answer);
        if (resolution.addresses.empty()) {
            resolution.failure = ares_strerror(status == ARES_SUCCESS ? int{ARES_ENODATA} : status);
        }
        question->finished.push_back(std::move(resolution));
    }

    std::vector<Resolution>& finished_;
    ares_channel handle_ = nullptr;
    int status_;
};

AresResolver::AresResolver(std::filesystem::path configuration)
    : configuration_(std::move(configuration)), descriptor_(epoll_create1(EPOLL_CLOEXEC)) {
    if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

AresResolver::~AresResolver() {
    channel_.reset();
    close(descriptor_);
}

void AresResolver::resolve(const std::string& host) {
    if (!asked_.insert(host).second) return;
    const auto version = version_of(configuration_);
    if (channel_ && version == version_) return channel_->ask(host);
    version_ = version;
    channel_.reset();
    channel_ = std::make_unique<Channel>(configuration_.string(), descriptor_, finished_);
    for (const auto& each : asked_) channel_->ask(each);
}

std::optional<std::chrono::milliseconds> AresResolver::timeout() const {
    if (!finished_.empty()) return std::chrono::milliseconds(0);
    return channel_ ? channel_->timeout() : std::nullopt;
}

std::vector<Resolution> AresResolver::take() {
    if (channel_) channel_->work(descriptor_);
    for (const auto& each : finished_) asked_.erase(each.host);
    return std::exchange(finished_, {});
}

}  // namespace porthole::resolver
