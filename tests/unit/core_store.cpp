// SPDX-License-Identifier: GPL-2.0-or-later
// On real files. Offsets in database files are those of sqlite.org/fileformat2.html.
#include <chrono>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <unistd.h>

#include "core/store.hpp"
#include "core_support.hpp"

namespace porthole {
namespace {

namespace fs = std::filesystem;
using namespace support;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

constexpr std::size_t read_version_offset = 19;
constexpr std::size_t user_version_offset = 60;
constexpr std::size_t application_id_offset = 68;

class StoreTest : public ::testing::Test {
  protected:
    TemporaryDirectory directory_;
    const fs::path file_ = directory_ / Store::file_name;
    const fs::path log_ = file_.string() + "-wal";

    // Changes that go to the store and to the state that it was opened with, one generation each.
    static void commit(OpenedStore& opened, const ReservationDifference& change) {
        auto transaction = opened.store.begin();
        transaction.write(change, opened.state.generation + 1);
        transaction.commit();
        opened.state.reservations.apply(change);
        ++opened.state.generation;
    }
    static void reserve(OpenedStore& opened, const ReserveRequest& request) {
        commit(opened, opened.state.reservations.reserve(request, Origin::api, now));
    }

    // A closed database with two reservations.
    void make_database() {
        auto opened = Store::open(directory_.path());
        reserve(opened, {.internal = endpoint("192.168.2.2", 51820)});
        reserve(opened, {.internal = endpoint("192.168.2.3", 51821)});
    }
    void replace_in_file(std::string_view old, std::string_view replacement) {
        auto bytes = read_file(file_);
        const auto at = bytes.find(old);
        ASSERT_NE(at, std::string::npos);
        write_file(file_, bytes.replace(at, old.size(), replacement));
    }
    void poke(std::size_t offset, char value) {
        auto bytes = read_file(file_);
        bytes.at(offset) = value;
        write_file(file_, bytes);
    }

    // That the file, and its log if it has one, are kept aside as they are, and that a new
    // database takes their place.
    void expect_kept_aside(const std::string& reason) {
        const auto bytes = read_file(file_);
        const auto log = read_file(log_);
        {
            auto opened = Store::open(directory_.path());
            EXPECT_THAT(opened.kept_aside,
                        AllOf(HasSubstr(file_.string() + " cannot be used (" + reason),
                              EndsWith("and a new database was begun")));
            EXPECT_EQ(opened.state.reservations.size(), 0U);
            EXPECT_EQ(opened.state.generation, 0U);
            reserve(opened, {.internal = endpoint("192.168.2.9", 9)});

            const auto aside = aside_files();
            ASSERT_EQ(aside.size(), log.empty() ? 1U : 2U);
            EXPECT_TRUE(read_file(aside[0]) == bytes);
            EXPECT_THAT(opened.kept_aside, HasSubstr(aside[0].string()));
            if (!log.empty()) {
                EXPECT_EQ(aside[1], aside[0].string() + "-wal");
                EXPECT_TRUE(read_file(aside[1]) == log);
            }
        }
        const auto opened = Store::open(directory_.path());
        EXPECT_THAT(opened.kept_aside, IsEmpty());
        EXPECT_EQ(opened.state.reservations.size(), 1U);
    }
    [[nodiscard]] std::vector<fs::path> aside_files() const {
        std::vector<fs::path> files;
        for (const auto& entry : fs::directory_iterator(directory_.path())) {
            if (entry.path().string().find("unusable") != std::string::npos) {
                files.push_back(entry.path());
            }
        }
        std::ranges::sort(files);
        return files;
    }
};

TEST_F(StoreTest, BeginsEmptyInADirectoryThatItMakes) {
    const auto nested = directory_ / "state" / "porthole";
    const auto opened = Store::open(nested);
    EXPECT_EQ(opened.state.reservations, Reservations());
    EXPECT_EQ(opened.state.reservations.next_id(), ReservationId{1});
    EXPECT_EQ(opened.state.generation, 0U);
    EXPECT_THAT(opened.kept_aside, IsEmpty());
    EXPECT_TRUE(fs::exists(nested / Store::file_name));
}

TEST_F(StoreTest, KeepsEveryFieldOfEveryRow) {
    std::vector<Reservation> rows{
        {.id = ReservationId{3},
         .internal = endpoint("192.168.2.2", 1),
         .external_port = port(65535),
         .filtering = Filtering::endpoint_independent,
         .origin = Origin::configured,
         .state = ReservationState::settling,
         .user = 4'294'967'294,
         .comment = comment("Größe '); DROP TABLE x; --"),
         .last_seen = now},
        {.id = ReservationId{4},
         .internal = endpoint("2001:db8::2", 1, Protocol::tcp),
         .external_port = port(1),
         .filtering = Filtering::address_dependent,
         .origin = Origin::automatic,
         .state = ReservationState::settling,
         .comment = Comment(),
         .expires = now + 1s},
        {.id = ReservationId{6},
         .internal = endpoint("02:00:5e:10:00:02", 1),
         .external_port = port(8),
         .filtering = Filtering::address_dependent,
         .origin = Origin::api,
         .state = ReservationState::settling,
         .address = parse<Address>("", "192.168.2.7"),
         .external_address = ExternalAddress(parse<Address>("", "203.0.113.7")),
         .comment = Comment(),
         .ipv6_addresses = all<Address>({"2001:db8::7", "fd00::7"})},
        {.id = ReservationId{7},
         .internal = endpoint("02:00:5e:10:00:01", 1),
         .external_port = port(7),
         .filtering = Filtering::address_and_port_dependent,
         .origin = Origin::api,
         .state = ReservationState::settling,
         .comment = Comment(),
         .expires = Time(1s)},
    };
    {
        auto opened = Store::open(directory_.path());
        commit(opened, {{}, rows});
        auto changed = rows[1];
        changed.filtering = Filtering::endpoint_independent;
        changed.expires = never;
        commit(opened, {{rows[0], rows[1]}, {changed}});
        rows = {changed, rows[2], rows[3]};
    }
    const auto opened = Store::open(directory_.path());
    EXPECT_EQ(opened.state.reservations, Reservations(rows, ReservationId{8}));
    EXPECT_EQ(opened.state.reservations.next_id(), ReservationId{8});
    EXPECT_EQ(opened.state.generation, 2U);
}

TEST_F(StoreTest, RemembersTheNextIdAfterEveryRowWasRemoved) {
    {
        auto opened = Store::open(directory_.path());
        reserve(opened, {.internal = endpoint("192.168.2.2", 7)});
        commit(opened, opened.state.reservations.release(std::array{ReservationId{1}}));
    }
    const auto opened = Store::open(directory_.path());
    EXPECT_EQ(opened.state.reservations.size(), 0U);
    EXPECT_EQ(opened.state.reservations.next_id(), ReservationId{2});
}

TEST_F(StoreTest, ForgetsATransactionThatWasNotCommitted) {
    {
        auto opened = Store::open(directory_.path());
        {
            auto transaction = opened.store.begin();
            transaction.write(opened.state.reservations.reserve(
                                  {.internal = endpoint("192.168.2.2", 7)}, Origin::api, now),
                              1);
        }
        reserve(opened, {.internal = endpoint("192.168.2.3", 7)});
    }
    const auto opened = Store::open(directory_.path());
    EXPECT_EQ(opened.state.generation, 1U);
    ASSERT_EQ(opened.state.reservations.size(), 1U);
    EXPECT_NE(opened.state.reservations.find(endpoint("192.168.2.3", 7)), nullptr);
}

// The files as they are at this moment, as after a power cut.
void copy_files(const fs::path& from, const fs::path& to) {
    fs::create_directory(to);
    for (const auto& entry : fs::directory_iterator(from)) {
        if (entry.is_regular_file()) fs::copy_file(entry.path(), to / entry.path().filename());
    }
}

TEST_F(StoreTest, HasWhatWasCommittedAndNothingElseAfterAPowerCut) {
    auto opened = Store::open(directory_.path());
    reserve(opened, {.internal = endpoint("192.168.2.2", 7)});
    auto transaction = opened.store.begin();
    transaction.write(opened.state.reservations.reserve({.internal = endpoint("192.168.2.3", 8)},
                                                        Origin::api, now),
                      2);
    copy_files(directory_.path(), directory_ / "copy");

    const auto survived = Store::open(directory_ / "copy");
    EXPECT_EQ(survived.state.reservations, opened.state.reservations);
    EXPECT_EQ(survived.state.generation, 1U);
    EXPECT_THAT(survived.kept_aside, IsEmpty());
}

TEST_F(StoreTest, RefusesASecondDaemon) {
    auto opened = Store::open(directory_.path());
    EXPECT_THAT([&] { Store::open(directory_.path()); },
                ThrowsMessage<StorageFailure>("open the database: " + file_.string() +
                                              ": another portholed is using it"));
    reserve(opened, {.internal = endpoint("192.168.2.2", 7)});
    EXPECT_THAT([&] { Store::open(directory_.path()); },
                ThrowsMessage<StorageFailure>(HasSubstr("another portholed")));
    EXPECT_THAT(aside_files(), IsEmpty());
}

TEST_F(StoreTest, RefusesANewerSchemaAndLeavesItsFilesAlone) {
    make_database();
    {
        auto opened = Store::open(directory_.path());
        reserve(opened, {.internal = endpoint("192.168.2.4", 9)});
        copy_files(directory_.path(), directory_ / "copy");
    }
    for (const auto& state : {directory_.path(), directory_ / "copy"}) {
        const auto file = state / Store::file_name;
        const fs::path log = file.string() + "-wal";
        auto bytes = read_file(file);
        bytes.at(user_version_offset + 3) = 99;
        write_file(file, bytes);
        const auto log_bytes = read_file(log);
        EXPECT_EQ(log_bytes.empty(), state == directory_.path());
        EXPECT_THAT([&] { Store::open(state); },
                    ThrowsMessage<StorageFailure>(AllOf(
                        HasSubstr(file.string()),
                        HasSubstr("schema version 99 is of a newer Porthole; this one knows 12"))));
        EXPECT_TRUE(read_file(file) == bytes);
        EXPECT_TRUE(read_file(log) == log_bytes);
    }
    EXPECT_THAT(aside_files(), IsEmpty());
}

TEST_F(StoreTest, TakesTunnelsOfAnOlderSchemaForTheApis) {
    const Tunnel tunnel{parse<InterfaceName>("name", "wg0"), {.listen_port = port(51820)}};
    {
        auto opened = Store::open(directory_.path());
        auto transaction = opened.store.begin();
        transaction.write(tunnel);
        transaction.commit();
    }
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(file_.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(
        sqlite3_exec(database,
                     "DROP TABLE checkpoint; DROP TABLE kept_reservation; DROP TABLE kept_tunnel;"
                     "DROP TABLE kept_peer; ALTER TABLE tunnel DROP COLUMN origin;"
                     "ALTER TABLE counter DROP COLUMN enabled;"
                     "ALTER TABLE reservation DROP COLUMN user; PRAGMA user_version = 7",
                     nullptr, nullptr, nullptr),
        SQLITE_OK)
        << sqlite3_errmsg(database);
    sqlite3_close(database);
    EXPECT_THAT(Store::open(directory_.path()).state.tunnels, ::testing::ElementsAre(tunnel));
}

TEST_F(StoreTest, TakesTheCheckpointOfAnOlderSchemaForOneThatLeavesTheRulesAsTheyAre) {
    {
        auto opened = Store::open(directory_.path());
        auto transaction = opened.store.begin();
        transaction.write_enabled(false);
        transaction.keep(Time(std::chrono::hours(1)), std::chrono::seconds(60));
        transaction.commit();
    }
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(file_.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database,
                           "ALTER TABLE checkpoint DROP COLUMN enabled;"
                           "ALTER TABLE kept_reservation DROP COLUMN user;"
                           "ALTER TABLE reservation DROP COLUMN user; PRAGMA user_version = 11",
                           nullptr, nullptr, nullptr),
              SQLITE_OK)
        << sqlite3_errmsg(database);
    sqlite3_close(database);
    const auto opened = Store::open(directory_.path());
    ASSERT_TRUE(opened.state.checkpoint);
    EXPECT_FALSE(opened.state.checkpoint->enabled);
}

TEST_F(StoreTest, KeepsAsideADatabaseOfAnotherProgram) {
    make_database();
    poke(application_id_offset, 0);
    expect_kept_aside("it belongs to another program");
}

TEST_F(StoreTest, KeepsAsideATextFileWithTheLogBesideIt) {
    write_file(file_, "This is no database, but somebody's only copy of something else.\n" +
                          std::string(4096, '.'));
    write_file(log_, "and this its log");
    expect_kept_aside("file is not a database");
}

TEST_F(StoreTest, KeepsAsideATruncatedDatabase) {
    make_database();
    const auto whole = fs::file_size(file_);
    // Of the last byte alone nothing depends: it is in the room that an empty table has left.
    for (const auto size : {whole / 2, whole - 4096, std::uintmax_t{100}, std::uintmax_t{10}}) {
        SCOPED_TRACE(size);
        make_database();
        fs::resize_file(file_, size);
        expect_kept_aside("");
        for (const auto& entry : fs::directory_iterator(directory_.path())) fs::remove(entry);
    }
}

TEST_F(StoreTest, KeepsAsideADatabaseOfAFormatThatSqliteDoesNotKnow) {
    make_database();
    poke(read_version_offset, 7);
    expect_kept_aside("file is not a database");
}

TEST_F(StoreTest, KeepsAsideRowsThatMakeNoSense) {
    make_database();
    replace_in_file("192.168.2.3", "192.168.2.x");
    expect_kept_aside("invalid host \"192.168.2.x\"");
}

TEST_F(StoreTest, KeepsAsideRowsThatContradictEachOther) {
    {
        auto opened = Store::open(directory_.path());
        reserve(opened, {.internal = endpoint("192.168.2.2", 7)});
        reserve(opened, {.internal = endpoint("192.168.2.3", 7), .external_port = port(8)});
    }
    replace_in_file("192.168.2.3", "192.168.2.2");
    expect_kept_aside("load reservations: reservation 2 contradicts another one");
}

TEST_F(StoreTest, KeepsAsideTheLogOfAnUnusableDatabaseAsItIs) {
    {
        auto opened = Store::open(directory_.path());
        reserve(opened, {.internal = endpoint("192.168.2.2", 7)});
    }
    auto opened = Store::open(directory_.path());
    reserve(opened, {.internal = endpoint("192.168.2.3", 8)});
    const TemporaryDirectory parent;
    copy_files(directory_.path(), parent / "copy");
    const auto file = parent / "copy" / Store::file_name;
    auto bytes = read_file(file);
    bytes.at(application_id_offset) = 0;
    write_file(file, bytes);
    const auto log = read_file(file.string() + "-wal");
    ASSERT_FALSE(log.empty());

    const auto second = Store::open(parent / "copy");
    EXPECT_THAT(second.kept_aside, HasSubstr("another program"));
    std::string aside;
    for (const auto& entry : fs::directory_iterator(parent / "copy")) {
        const auto name = entry.path().string();
        if (name.find("unusable") != std::string::npos && !name.ends_with("-wal")) aside = name;
    }
    EXPECT_TRUE(read_file(aside) == bytes);
    EXPECT_TRUE(read_file(aside + "-wal") == log);
}

// Whichever bit is wrong: the daemon starts, with what is in the file or with a new database and
// the file kept aside unchanged. Only what looks like a newer schema or format is refused.
TEST_F(StoreTest, SurvivesAnyWrongBit) {
    make_database();
    const auto whole = read_file(file_);
    std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same bits each time
    int kept_aside = 0;
    for (int attempt = 0; attempt < 120; ++attempt) {
        for (const auto& entry : fs::directory_iterator(directory_.path())) fs::remove(entry);
        // A third of them in the header, which decides most.
        const auto range = attempt % 3 == 0 ? 100 : whole.size();
        const auto offset = std::uniform_int_distribution<std::size_t>(0, range - 1)(random);
        const auto bit = std::uniform_int_distribution<unsigned>(0, 7)(random);
        SCOPED_TRACE("byte " + std::to_string(offset) + ", bit " + std::to_string(bit));
        auto bytes = whole;
        bytes[offset] = static_cast<char>(static_cast<unsigned char>(bytes[offset]) ^ 1U << bit);
        write_file(file_, bytes);
        try {
            auto opened = Store::open(directory_.path());
            if (!opened.kept_aside.empty()) {
                ++kept_aside;
                ASSERT_EQ(aside_files().size(), 1U);
                EXPECT_TRUE(read_file(aside_files()[0]) == bytes);
                EXPECT_EQ(opened.state.reservations.size(), 0U);
            }
            reserve(opened, {.internal = endpoint("192.168.2.9", 9)});
        } catch (const StorageFailure& failure) {
            EXPECT_THAT(failure.what(), AnyOf(HasSubstr("newer Porthole"), HasSubstr("read-only")));
            EXPECT_TRUE(read_file(file_) == bytes);
        }
    }
    EXPECT_GT(kept_aside, 0);
}

TEST_F(StoreTest, SaysSoWhereADatabaseBreaksWhileItIsOpen) {
    {
        auto opened = Store::open(directory_.path());
        std::vector<ReserveRequest> requests;  // more than SQLite keeps in memory
        for (std::uint64_t value = 1; value <= 16'000; ++value) {
            requests.push_back({.internal = endpoint("192.168.2.2", value),
                                .comment = comment(std::string(Comment::max_bytes, 'x'))});
        }
        std::vector<ReservationId> ids;
        commit(opened, opened.state.reservations.reserve_many(requests, Origin::api, now, ids));
    }
    auto opened = Store::open(directory_.path());
    auto bytes = read_file(file_);
    for (std::size_t page = 4096; page + 4096 <= bytes.size(); page += 4096) bytes[page] = '\x7F';
    write_file(file_, bytes);

    auto transaction = opened.store.begin();
    EXPECT_THAT(
        [&] {
            transaction.write({{*opened.state.reservations.find(ReservationId{1})}, {}}, 2);
            transaction.commit();
        },
        ThrowsMessage<StorageFailure>(HasSubstr("malformed")));
}

TEST_F(StoreTest, NamesADirectoryThatCannotBeUsed) {
    EXPECT_THAT([] { Store::open("/proc/porthole"); },
                ThrowsMessage<StorageFailure>(HasSubstr("/proc/porthole")));
    EXPECT_THAT([] { Store::open("/proc/self"); },
                ThrowsMessage<StorageFailure>(HasSubstr("/proc/self/porthole.db")));
    write_file(directory_ / "file", "");
    EXPECT_THAT([&] { Store::open(directory_ / "file"); },
                ThrowsMessage<StorageFailure>(HasSubstr((directory_ / "file").string())));
}

// Runs `action` where the directory is read-only. Permissions do not stop root, a mount does.
template <typename Action>
bool with_read_only(const fs::path& directory, const Action& action) {
    if (::geteuid() != 0) {
        fs::permissions(directory, fs::perms::owner_read | fs::perms::owner_exec);
        for (const auto& entry : fs::directory_iterator(directory)) {
            fs::permissions(entry, fs::perms::owner_read);
        }
        action();
        fs::permissions(directory, fs::perms::owner_all);
        return true;
    }
    bool mounted = false;
    // The mount namespace belongs to this thread and ends with it.
    std::thread([&] {
        const auto* path = directory.c_str();
        mounted = ::unshare(CLONE_NEWNS) == 0 &&
                  ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                  ::mount(path, path, nullptr, MS_BIND, nullptr) == 0 &&
                  ::mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
        if (mounted) action();
    }).join();
    return mounted;
}

TEST_F(StoreTest, NamesADatabaseThatCannotBeWritten) {
    const auto open = [&] {
        EXPECT_THAT([&] { Store::open(directory_.path()); },
                    ThrowsMessage<StorageFailure>(HasSubstr(file_.string())));
    };
    if (!with_read_only(directory_.path(), open)) GTEST_SKIP() << "no mount namespace here";
    make_database();
    with_read_only(directory_.path(), open);
    EXPECT_THAT(aside_files(), IsEmpty());
    EXPECT_EQ(Store::open(directory_.path()).state.reservations.size(), 2U);
}

}  // namespace
}  // namespace porthole
