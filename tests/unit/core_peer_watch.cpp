// SPDX-License-Identifier: GPL-2.0-or-later
#include <map>
#include <utility>

#include "core/peer_watch.hpp"
#include "tunnels_fixture.hpp"

namespace porthole {
namespace {

using namespace support;
using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Knows what a test has told it, and answers when it is asked for its answers.
class ScriptedResolver : public Resolver {
  public:
    void resolve(const std::string& host) override {
        ++questions;
        asked_.push_back(host);
    }
    [[nodiscard]] int descriptor() const override { return -1; }
    [[nodiscard]] std::optional<std::chrono::milliseconds> timeout() const override {
        return asked_.empty() ? std::nullopt : std::optional(0ms);
    }
    [[nodiscard]] std::vector<Resolution> take() override {
        std::vector<Resolution> answers;
        for (const auto& host : std::exchange(asked_, {})) {
            const auto found = hosts.find(host);
            const bool there = found != hosts.end();
            answers.push_back({host, there ? found->second : std::vector<Address>(),
                               there ? "" : "Domain name not found"});
        }
        return answers;
    }

    std::map<std::string, std::vector<Address>> hosts;
    int questions = 0;

  private:
    std::vector<std::string> asked_;
};

const std::string host = "gw.example.net";
const auto named = parse<EndpointSetting>("endpoint", host + ":51820");

Place place(std::string_view address, std::uint64_t number = 51820) {
    return {parse<Address>("address", address), port(number)};
}
std::vector<Address> addresses(std::initializer_list<std::string_view> texts) {
    std::vector<Address> result;
    for (const auto text : texts) result.push_back(parse<Address>("address", text));
    return result;
}

class PeerWatchTest : public TunnelsFixture {
  protected:
    void SetUp() override {
        TunnelsFixture::SetUp();
        tunnels_->create(wg0, {});
        watch_again();
    }
    void watch_again() {
        watch_.emplace(*tunnels_, resolver_, [this] { return monotonic_; });
        watch_->work();
    }
    void reboot() {
        backend_.interfaces.clear();
        backend_.activity.reset();
        restart();
        watch_again();
    }
    void set_peer(const std::optional<EndpointSetting>& endpoint) {
        tunnels_->set_peer(wg0, {.public_key = key_, .endpoint = endpoint});
    }
    /// Does what the event loop would do in this time.
    void let_pass(std::chrono::nanoseconds time) {
        const auto end = monotonic_ + time;
        const auto wait = [this]() -> std::optional<std::chrono::milliseconds> {
            const auto answer = resolver_.timeout();
            return answer ? answer : watch_->rest();
        };
        for (auto next = wait(); next && monotonic_ + *next <= end; next = wait()) {
            pass(*next);
            watch_->work();
            ++turns_;
        }
        pass(end - monotonic_);
    }
    /// A packet comes from the peer, and with it, a handshake.
    void shake_hands() {
        if (!backend_.activity) backend_.activity = PeerActivity{.public_key = key_};
        backend_.activity->last_handshake = now_;
        ++backend_.activity->received_bytes;
    }
    void shake_hands_from(const Place& there) {
        kernel_peer().endpoint = PeerEndpoint{there};
        shake_hands();
    }
    WireGuardPeer& kernel_peer() { return backend_.at(wg0).device.peers.at(0); }
    std::optional<Place> endpoint() {
        const auto& known = kernel_peer().endpoint;
        return known ? std::optional(known->place) : std::nullopt;
    }
    [[nodiscard]] std::optional<Place> learnt() const {
        return learnt_place(tunnels_->find(wg0), key_);
    }

    const PublicKey key_ = new_key();
    ScriptedResolver resolver_;
    std::optional<PeerWatch> watch_;
    int turns_ = 0;
};

TEST_F(PeerWatchTest, FindsAPeerByItsName) {
    resolver_.hosts[host] = addresses({"192.0.2.1"});
    set_peer(named);
    let_pass(1s);
    EXPECT_EQ(endpoint(), place("192.0.2.1"));
    EXPECT_EQ(tunnels_->find(wg0).settings.peers[0].endpoint, named);
    EXPECT_THAT(watch_->warnings(), IsEmpty());
    shake_hands();
    let_pass(100s);
    EXPECT_EQ(resolver_.questions, 1);
}

TEST_F(PeerWatchTest, AsksSeldomerAndSeldomerForANameThatDoesNotResolve) {
    set_peer(named);
    let_pass(10s);
    EXPECT_GE(resolver_.questions, 3);
    let_pass(590s);
    EXPECT_LE(resolver_.questions, 16);
    EXPECT_THAT(watch_->warnings(),
                ElementsAre(AllOf(HasSubstr("tunnel wg0 does not find peer " + to_text(key_)),
                                  HasSubstr(host + ":51820: Domain name not found"))));
    resolver_.hosts[host] = addresses({"192.0.2.1"});
    let_pass(60s);
    EXPECT_EQ(endpoint(), place("192.0.2.1"));
    EXPECT_THAT(watch_->warnings(), IsEmpty());
}

TEST_F(PeerWatchTest, FindsOthersWhereANameDoesNotResolve) {
    const auto other = new_key();
    resolver_.hosts[host] = addresses({"192.0.2.1"});
    tunnels_->set_peer(
        wg0, {.public_key = other, .endpoint = parse<EndpointSetting>("e", "nowhere.test:1")});
    set_peer(named);
    let_pass(1s);
    reboot();
    let_pass(1s);
    EXPECT_TRUE(tunnels_->is_up(wg0));
    EXPECT_THAT(watch_->warnings(), ElementsAre(HasSubstr("nowhere.test:1")));
    const auto peers = tunnels_->peers(wg0);
    const auto& found = peers.at(key_ < other ? 0 : 1);
    EXPECT_EQ(found.endpoint, place("192.0.2.1"));
}

TEST_F(PeerWatchTest, TriesAllAddressesInTurnUntilThereIsAHandshake) {
    resolver_.hosts[host] = addresses({"192.0.2.1", "2001:db8::1", "192.0.2.2"});
    set_peer(named);
    let_pass(11s);  // two attempts at a handshake
    EXPECT_EQ(endpoint(), place("192.0.2.1"));
    let_pass(3s);
    EXPECT_EQ(endpoint(), place("2001:db8::1"));
    let_pass(12s);
    EXPECT_EQ(endpoint(), place("192.0.2.2"));
    let_pass(12s);
    EXPECT_EQ(endpoint(), place("192.0.2.1"));
    shake_hands();
    let_pass(130s);
    EXPECT_EQ(endpoint(), place("192.0.2.1"));
}

TEST_F(PeerWatchTest, AsksAgainWhenTheNextHandshakeIsOverdue) {
    resolver_.hosts[host] = addresses({"192.0.2.1"});
    set_peer(named);
    let_pass(1s);
    shake_hands();
    let_pass(1s);
    resolver_.hosts[host] = addresses({"192.0.2.2"});
    let_pass(133s);
    EXPECT_EQ(endpoint(), place("192.0.2.1"));
    let_pass(2s);
    EXPECT_EQ(endpoint(), place("192.0.2.2"));
}

TEST_F(PeerWatchTest, FollowsANameThatChangesLater) {
    resolver_.hosts[host] = addresses({"192.0.2.1"});
    set_peer(named);
    let_pass(1s);
    shake_hands();
    let_pass(600s);
    EXPECT_EQ(endpoint(), place("192.0.2.1"));
    resolver_.hosts[host] = addresses({"192.0.2.2"});
    let_pass(61s);
    EXPECT_EQ(endpoint(), place("192.0.2.2"));
}

TEST_F(PeerWatchTest, AsksAgainWhateverBecomesOfTheClock) {
    resolver_.hosts[host] = addresses({"192.0.2.1"});
    set_peer(named);
    let_pass(1s);
    shake_hands();
    let_pass(20s);
    now_ += 1h;
    let_pass(100s);
    EXPECT_EQ(resolver_.questions, 1);
    now_ -= 2h;
    resolver_.hosts[host] = addresses({"192.0.2.2"});
    let_pass(20s);
    EXPECT_EQ(endpoint(), place("192.0.2.2"));
}

// Whose handshake is late, as with seldom keepalives, but who is there.
TEST_F(PeerWatchTest, LeavesAPeerWhereItIsHeardFrom) {
    resolver_.hosts[host] = addresses({"192.0.2.1", "192.0.2.2"});
    set_peer(named);
    let_pass(1s);
    shake_hands();
    for (int i = 0; i < 34; ++i) {
        let_pass(5s);
        ++backend_.activity->received_bytes;
    }
    EXPECT_EQ(endpoint(), place("192.0.2.1"));
    for (int i = 0; i < 30 && endpoint() == place("192.0.2.1"); ++i) let_pass(1s);
    EXPECT_EQ(endpoint(), place("192.0.2.2"));
}

// Nobody can tell whether it is there.
TEST_F(PeerWatchTest, LeavesAPeerAloneThatNobodySendsTo) {
    resolver_.hosts[host] = addresses({"192.0.2.1", "192.0.2.2"});
    set_peer(named);
    tunnels_->set_peer(wg0, {.public_key = key_, .keepalive = Keepalive(0)});
    let_pass(1s);
    shake_hands();
    let_pass(600s);
    EXPECT_EQ(endpoint(), place("192.0.2.1"));
    EXPECT_EQ(resolver_.questions, 1);
    for (int i = 0; i < 8 && endpoint() == place("192.0.2.1"); ++i) {
        backend_.activity->sent_bytes += 148;
        let_pass(5s);
    }
    EXPECT_EQ(endpoint(), place("192.0.2.2"));
    EXPECT_GT(resolver_.questions, 1);
}

TEST_F(PeerWatchTest, MovesAPeerWithASessionToANameThatIsSetButNotAtAStart) {
    const auto elsewhere = place("198.51.100.7", 7);
    resolver_.hosts[host] = addresses({"192.0.2.1"});
    set_peer(EndpointSetting(elsewhere));
    shake_hands();
    let_pass(1s);
    set_peer(named);
    let_pass(1s);
    EXPECT_EQ(endpoint(), place("192.0.2.1"));
    shake_hands_from(elsewhere);
    restart();
    watch_again();
    let_pass(60s);
    EXPECT_EQ(endpoint(), elsewhere);
}

TEST_F(PeerWatchTest, StoresWhereAPeerHasMovedTo) {
    const auto said = place("192.0.2.1");
    const auto moved = place("198.51.100.7", 4711);
    set_peer(EndpointSetting(said));
    shake_hands();
    let_pass(10s);
    EXPECT_EQ(learnt(), std::nullopt);
    shake_hands_from(moved);
    let_pass(10s);
    EXPECT_EQ(learnt(), moved);
    reboot();
    EXPECT_EQ(endpoint(), moved);
    tunnels_->set_peer(wg0, {.public_key = key_, .keepalive = Keepalive(7)});
    reboot();
    EXPECT_EQ(endpoint(), moved);
    set_peer(EndpointSetting(said));
    EXPECT_EQ(endpoint(), said);
    reboot();
    EXPECT_EQ(endpoint(), said);
    EXPECT_EQ(learnt(), std::nullopt);
}

TEST_F(PeerWatchTest, ForgetsWhereAPeerWasThatIsBack) {
    const auto said = place("192.0.2.1");
    set_peer(EndpointSetting(said));
    shake_hands_from(place("198.51.100.7"));
    let_pass(10s);
    EXPECT_TRUE(learnt());
    shake_hands_from(said);
    let_pass(70s);
    EXPECT_EQ(learnt(), std::nullopt);
    reboot();
    EXPECT_EQ(endpoint(), said);
}

// Each write wears flash memory out.
TEST_F(PeerWatchTest, StoresPlacesOnceAMinute) {
    set_peer(EndpointSetting(place("192.0.2.1")));
    int writes = 0;
    auto before = learnt();
    for (std::uint64_t second = 0; second < 300; ++second) {
        shake_hands_from(place("198.51.100.7", 1000 + second));
        let_pass(1s);
        if (std::exchange(before, learnt()) != learnt()) ++writes;
    }
    EXPECT_GE(writes, 4);
    EXPECT_LE(writes, 6);
}

TEST_F(PeerWatchTest, LooksForAPeerWhereItWasAndWhereItWasSaidToBe) {
    const auto said = place("192.0.2.1");
    const auto moved = place("198.51.100.7");
    set_peer(EndpointSetting(said));
    shake_hands_from(moved);
    let_pass(10s);
    reboot();
    EXPECT_EQ(endpoint(), moved);
    let_pass(14s);
    EXPECT_EQ(endpoint(), said);
    EXPECT_EQ(learnt(), moved);  // it is not there yet
    let_pass(13s);
    EXPECT_EQ(endpoint(), moved);
    shake_hands();
    let_pass(134s);
    EXPECT_EQ(endpoint(), moved);
    let_pass(5s);
    EXPECT_EQ(endpoint(), said);
    let_pass(10s);
    EXPECT_EQ(learnt(), moved);
}

TEST_F(PeerWatchTest, LooksAsOftenAsItHasTo) {
    EXPECT_EQ(watch_->rest(), std::nullopt);
    set_peer(EndpointSetting(place("192.0.2.1")));
    let_pass(1s);
    turns_ = 0;
    let_pass(100s);
    EXPECT_EQ(turns_, 100);  // while a handshake is waited for
    shake_hands();
    let_pass(1s);
    turns_ = 0;
    let_pass(100s);
    EXPECT_EQ(turns_, 10);
    tunnels_->remove_peer(wg0, key_);
    let_pass(1s);
    EXPECT_EQ(watch_->rest(), std::nullopt);
}

TEST_F(PeerWatchTest, TellsWhenPeersHaveChanged) {
    auto before = watch_->version(wg0);
    const auto changed = [&] {
        const auto version = watch_->version(wg0);
        return std::exchange(before, version) != version;
    };
    set_peer(EndpointSetting(place("192.0.2.1")));
    EXPECT_TRUE(changed());
    let_pass(60s);
    EXPECT_FALSE(changed());
    shake_hands();
    let_pass(2s);
    EXPECT_TRUE(changed());
    shake_hands_from(place("192.0.2.7"));
    let_pass(10s);
    EXPECT_TRUE(changed());
    shake_hands();
    let_pass(100s);
    EXPECT_FALSE(changed());
    let_pass(100s);
    EXPECT_TRUE(changed());  // there is no session any more
    tunnels_->remove_peer(wg0, key_);
    EXPECT_TRUE(changed());
}

TEST_F(PeerWatchTest, GoesOnWhereTheKernelRefuses) {
    resolver_.hosts[host] = addresses({"192.0.2.1", "192.0.2.2"});
    set_peer(named);
    backend_.calls_before_failure = 0;
    let_pass(1s);
    EXPECT_EQ(endpoint(), std::nullopt);
    let_pass(14s);
    EXPECT_TRUE(endpoint());
}

}  // namespace
}  // namespace porthole
