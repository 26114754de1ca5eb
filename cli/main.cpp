// SPDX-License-Identifier: GPL-2.0-or-later
#include <exception>
#include <iostream>

#include <unistd.h>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/complete_command.hpp"
#include "cli/exit_status.hpp"
#include "cli/terminal.hpp"

int main(int argc, char** argv) {
    using namespace porthole::cli;
    try {
        const auto parsed = parse_arguments({argv + 1, argv + argc});
        if (const auto* stop = std::get_if<Stop>(&parsed)) {
            (stop->status == exit_done ? std::cout : std::cerr) << stop->text;
            return stop->status;
        }
        if (const auto* completion = std::get_if<Completion>(&parsed)) {
            print(*completion, std::cout);
            return exit_done;
        }
        const auto status =
            run(std::get<Invocation>(parsed), {.out = std::cout,
                                               .look = look_of(STDOUT_FILENO),
                                               .err = std::cerr,
                                               .can_erase = can_erase(STDERR_FILENO)});
        if (std::cout.flush()) return status;
        std::cerr << "portholectl: cannot write the output\n";
    } catch (const std::exception& error) {
        std::cerr << "portholectl: " << error.what() << '\n';
    }
    return exit_failed;
}
