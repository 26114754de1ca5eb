// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "lab/deadline.hpp"
#include "lab/namespace.hpp"

namespace porthole::lab {

/// The size of a terminal, in characters.
struct Terminal {
    unsigned short columns = 80;
    unsigned short rows = 24;
};

/// How a program is started. All of it may be left out.
struct Setting {
    std::string input = {};                         ///< what it reads from its standard input
    std::vector<std::string> environment = {};      ///< "NAME=value", added to what we have
    std::optional<std::filesystem::path> log = {};  ///< takes what it prints, instead of a pipe
    std::optional<Terminal> terminal = {};  ///< of its own, is all its standard streams instead
    /// Called in the child just before the program starts, as root and in the namespace: to change
    /// the user or to give up a capability. Only async-signal-safe calls.
    std::function<void()> before_exec = {};
};

/// For Setting::before_exec: go on as this user and group, with no other group.
std::function<void()> as_user(uid_t user, gid_t group);
/// The same, but with this one capability, as systemd's AmbientCapabilities= and
/// CapabilityBoundingSet= do it.
std::function<void()> as_user_with(uid_t user, gid_t group, int capability);
/// For Setting::before_exec: start the program without this capability, CAP_NET_ADMIN for example.
std::function<void()> without_capability(int capability);

/// A program that runs in a namespace. It is killed when this object goes, and also when the thread
/// that made this object ends.
class Process {
  public:
    /// `arguments`: the program, looked up in PATH, and its arguments. Throws std::system_error if
    /// it cannot be started.
    Process(const Namespace& where, std::vector<std::string> arguments,
            const Setting& setting = {});
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    Process(Process&&) = delete;
    Process& operator=(Process&&) = delete;

    [[nodiscard]] pid_t id() const { return id_; }
    /// Readable once the program has ended: for poll(2).
    [[nodiscard]] int descriptor() const { return descriptor_.get(); }
    void signal(int number) const;
    /// Types this on its terminal.
    void type(std::string_view text) const;

    /// Waits for the end. The exit status, 128 + N after signal N; nothing at the deadline.
    std::optional<int> wait(Duration limit);
    /// Waits until `text` was printed; false if the program ended or `limit` passed without it.
    bool wait_for_output(std::string_view text, Duration limit);

    /// What was read so far of the standard output, or of the terminal, and the standard error.
    [[nodiscard]] const std::string& output() const { return streams_[0].text; }
    [[nodiscard]] const std::string& errors() const { return streams_[1].text; }

  private:
    struct Stream {
        FileDescriptor descriptor;
        std::string text;
        void drain();
    };
    bool pump(const Deadline& deadline);
    void reap();
    std::array<Stream, 2> streams_;
    pid_t id_ = -1;
    FileDescriptor descriptor_;
    std::optional<int> status_;
};

/// How a program ended that was run to its end.
struct Finished {
    int status = 0;
    std::string output;
    std::string errors;
};

inline constexpr Duration command_limit{30'000};

/// Runs a program to its end. Throws std::runtime_error if that takes longer than command_limit.
Finished command(const Namespace& where, std::vector<std::string> arguments,
                 const Setting& setting = {});
/// The standard output of a program that must succeed: throws std::runtime_error with what it
/// printed to its standard error unless it does.
std::string output_of(const Namespace& where, std::vector<std::string> arguments,
                      const Setting& setting = {});

}  // namespace porthole::lab
