// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/process.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ranges>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grp.h>
#include <linux/capability.h>
#include <pty.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace porthole::lab {
namespace {

struct Pipe {
    FileDescriptor read_end;
    FileDescriptor write_end;
};

// Only our own end does not block: the other one is for a program that does not expect it.
Pipe make_pipe() {
    std::array<int, 2> ends{};
    checked(::pipe2(ends.data(), O_CLOEXEC), "pipe");
    Pipe pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
    checked(::fcntl(pipe.read_end.get(), F_SETFL, O_NONBLOCK), "fcntl");
    return pipe;
}

FileDescriptor file_with(std::string_view text) {
    FileDescriptor file(checked(::memfd_create("input", MFD_CLOEXEC), "memfd_create"));
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        throw std::system_error(errno, std::generic_category(), "write the standard input");
    }
    ::lseek(file.get(), 0, SEEK_SET);
    return file;
}

// Like Pipe; of the two ends of a terminal, the program's is the one to write to.
Pipe make_terminal(const Terminal& terminal) {
    int ours = -1;
    int theirs = -1;
    const winsize size{terminal.rows, terminal.columns, 0, 0};
    checked(::openpty(&ours, &theirs, nullptr, nullptr, &size), "openpty");
    Pipe ends{FileDescriptor(ours), FileDescriptor(theirs)};
    termios mode{};
    checked(::tcgetattr(theirs, &mode), "tcgetattr");
    // What is typed is not shown, and the ends of lines stay what they are.
    mode.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    mode.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
    checked(::tcsetattr(theirs, TCSANOW, &mode), "tcsetattr");
    for (const int end : {ours, theirs}) checked(::fcntl(end, F_SETFD, FD_CLOEXEC), "fcntl");
    checked(::fcntl(ours, F_SETFL, O_NONBLOCK), "fcntl");
    return ends;
}

FileDescriptor open_log(const std::filesystem::path& file) {
    return FileDescriptor(
        checked(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644),
                "open " + file.string()));
}

std::vector<std::string> complete_environment(const std::vector<std::string>& added) {
    const auto name = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
    std::vector<std::string> all = added;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const auto same_name = [&](const std::string& other) {
            return name(other) == name(*entry);
        };
        if (std::ranges::none_of(added, same_name)) all.emplace_back(*entry);
    }
    return all;
}

// The strings must outlive the result.
std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> all;
    all.reserve(strings.size() + 1);
    for (auto& string : strings) all.push_back(string.data());
    all.push_back(nullptr);
    return all;
}

// What the child needs, made before the fork: afterwards it may not allocate memory, because
// another thread may have held the allocator's lock.
struct Child {
    int network;
    std::array<int, 3> standard_streams;
    bool terminal;
    int failure;  // takes errno if the program cannot be started
    pid_t parent;
    const std::function<void()>& before_exec;
    char** arguments;
    char** environment;

    [[noreturn]] void run() const {
        if (::setns(network, CLONE_NEWNET) == 0) {
            if (before_exec) before_exec();
            // After a change of user, which clears it; the parent may be gone already.
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::getppid() != parent) ::_exit(1);
            for (int number = 0; number < 3; ++number) {
                ::dup2(standard_streams[static_cast<std::size_t>(number)], number);
            }
            if (terminal) {
                ::setsid();
                ::ioctl(0, TIOCSCTTY, 0);
            }
            ::execvpe(arguments[0], arguments, environment);
        }
        const int error = errno;
        std::ignore = ::write(failure, &error, sizeof error);
        ::_exit(127);
    }
};

}  // namespace

std::function<void()> as_user(uid_t user, gid_t group) {
    return [=] {
        if (::setgroups(0, nullptr) < 0 || ::setresgid(group, group, group) < 0 ||
            ::setresuid(user, user, user) < 0) {
            ::_exit(126);
        }
    };
}

std::function<void()> as_user_with(uid_t user, gid_t group, int capability) {
    return [=, change_user = as_user(user, group)] {
        for (int other = 0; ::prctl(PR_CAPBSET_READ, other) >= 0; ++other) {
            if (other != capability && ::prctl(PR_CAPBSET_DROP, other) < 0) ::_exit(126);
        }
        ::prctl(PR_SET_KEEPCAPS, 1);
        change_user();
        __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
        std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
        const auto bit = 1U << (capability % 32);
        sets.at(static_cast<std::size_t>(capability / 32)) = {bit, bit, bit};
        if (::syscall(SYS_capset, &header, sets.data()) < 0 ||
            ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0 ||
            ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
            ::_exit(126);
        }
    };
}

std::function<void()> without_capability(int capability) {
    return [=] {
        if (::prctl(PR_CAPBSET_DROP, capability) < 0) ::_exit(126);
    };
}

Process::Process(const Namespace& where, std::vector<std::string> arguments,
                 const Setting& setting) {
    auto environment = complete_environment(setting.environment);
    const auto argument_pointers = pointers(arguments);
    const auto environment_pointers = pointers(environment);
    const auto input = file_with(setting.input);
    auto output = setting.terminal ? make_terminal(*setting.terminal) : make_pipe();
    auto errors = make_pipe();
    auto failure = make_pipe();
    if (setting.log) {
        output.write_end = open_log(*setting.log);
        errors.write_end = open_log(*setting.log);
    }
    const bool terminal = setting.terminal.has_value();
    const int written = output.write_end.get();
    const Child child{
        where.descriptor(),
        {terminal ? written : input.get(), written, terminal ? written : errors.write_end.get()},
        terminal,
        failure.write_end.get(),
        ::getpid(),
        setting.before_exec,
        const_cast<char**>(argument_pointers.data()),
        const_cast<char**>(environment_pointers.data())};

    id_ = checked(::fork(), "fork");
    if (id_ == 0) child.run();
    descriptor_ =
        FileDescriptor(checked(static_cast<int>(::syscall(SYS_pidfd_open, id_, 0)), "pidfd_open"));
    streams_[0].descriptor = std::move(output.read_end);
    streams_[1].descriptor = std::move(errors.read_end);

    // Closed by the start of the program; else it has the reason why there is none.
    failure.write_end.close();
    checked(::fcntl(failure.read_end.get(), F_SETFL, 0), "fcntl");
    int error = 0;
    if (::read(failure.read_end.get(), &error, sizeof error) > 0) {
        reap();
        throw std::system_error(error, std::generic_category(), "start " + arguments.front());
    }
}

Process::~Process() {
    if (status_) return;
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
}

void Process::signal(int number) const {
    if (!status_) ::kill(id_, number);
}

void Process::type(std::string_view text) const {
    checked(static_cast<int>(::write(streams_[0].descriptor.get(), text.data(), text.size())),
            "type");
}

void Process::reap() {
    int status = 0;
    checked(::waitpid(id_, &status, 0), "waitpid");
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void Process::Stream::drain() {
    std::array<char, 4096> buffer{};
    while (true) {
        const auto count = ::read(descriptor.get(), buffer.data(), buffer.size());
        if (count > 0) {
            text.append(buffer.data(), static_cast<std::size_t>(count));
        } else {
            if (count == 0) descriptor.close();
            return;
        }
    }
}

// One step of waiting: reads what is there, notices the end. False at the deadline.
bool Process::pump(const Deadline& deadline) {
    std::array<pollfd, 3> events{{{descriptor_.get(), POLLIN, 0},
                                  {streams_[0].descriptor.get(), POLLIN, 0},
                                  {streams_[1].descriptor.get(), POLLIN, 0}}};
    const bool in_time = deadline.poll(events);
    if (events[0].revents != 0) reap();
    for (auto& stream : streams_) stream.drain();
    return in_time;
}

std::optional<int> Process::wait(Duration limit) {
    const Deadline deadline(limit);
    while (!status_ && pump(deadline)) {
    }
    return status_;
}

bool Process::wait_for_output(std::string_view text, Duration limit) {
    const Deadline deadline(limit);
    const auto printed = [&] {
        return std::ranges::any_of(streams_, [&](const Stream& stream) {
            return stream.text.find(text) != std::string::npos;
        });
    };
    while (!printed() && !status_ && pump(deadline)) {
    }
    return printed();
}

Finished command(const Namespace& where, std::vector<std::string> arguments,
                 const Setting& setting) {
    const auto text = fmt::format("{}", fmt::join(arguments, " "));
    Process process(where, std::move(arguments), setting);
    if (const auto status = process.wait(command_limit)) {
        return {*status, process.output(), process.errors()};
    }
    throw std::runtime_error(fmt::format("\"{}\" in {} does not end", text, where.name()));
}

std::string output_of(const Namespace& where, std::vector<std::string> arguments,
                      const Setting& setting) {
    const auto text = fmt::format("{}", fmt::join(arguments, " "));
    auto [status, output, errors] = command(where, std::move(arguments), setting);
    if (status == 0) return std::move(output);
    throw std::runtime_error(
        fmt::format("\"{}\" in {} ended with {}: {}", text, where.name(), status, errors));
}

}  // namespace porthole::lab
