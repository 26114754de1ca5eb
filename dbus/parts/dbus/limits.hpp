// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstddef>

// What keeps clients from taking the service from each other. Calls of clients that are known to be
// root's are neither counted nor measured.
namespace porthole::dbus::limits {

// Calls. A user may make so many in a second, and so many at once after a rest: a system bus lets
// a client wait for as many answers, and those are before everybody's.
inline constexpr double calls_per_second = 1000;
inline constexpr double calls_at_once = 128;
// A call that takes longer on the processor counts as several, so that a user takes a quarter of
// it.
inline constexpr std::chrono::microseconds time_of_a_call{250};
// What the kernel keeps for the bus of a user's answers, without what each may take. A bus that is
// busy with others takes 2 KiB of ours at a time, after which it looks after everybody else: what
// is before an answer is what the answer waits for, and a page of a list is before it for 10 ms. So
// there is one for a hundred answers to others.
inline constexpr int bytes_of_a_call = 4096;
inline constexpr int bytes_where_unknown = 131'072;  // as the kernel had no room for it
inline constexpr double bytes_per_second = 128.0 * 1024;
inline constexpr double bytes_at_once = 1024.0 * 1024;
// Calls over these limits are refused when another one would be taken in, and not before this, so
// that who tries again at once does not keep the bus busy. Further ones of a user are not answered.
inline constexpr std::chrono::milliseconds refused_after{20};
inline constexpr std::size_t late_refusals = 1024;
inline constexpr std::chrono::milliseconds between_late_refusals{1};
// Calls of clients of whom the bus has not said yet whose they are, and the memory that they take,
// without the one large one among them. There is always room for the first one of each client, if
// it is short: a bus has no more than some thousand clients.
inline constexpr std::size_t calls_of_a_newcomer = 16;
inline constexpr std::size_t bytes_of_newcomers = 16UL << 20U;
inline constexpr std::size_t bytes_of_a_first_call = 4096;

// The arguments of one call.
inline constexpr std::size_t rows = 65'536;      // elements of all its arrays
inline constexpr std::size_t values = 8 * rows;  // a row of ReserveMany is seven
inline constexpr std::size_t keys = 32;          // of a dictionary
inline constexpr std::size_t depth = 8;
inline constexpr std::size_t bytes = 24UL << 20U;  // of memory that they take, about
inline constexpr std::size_t text_bytes = 32'768;
inline constexpr std::size_t file_bytes = 1UL << 20U;  // of a file that is an argument

// Calls that wait for an authorization, and the memory that their arguments take. A client has one
// large one there at a time, and so have all clients of a user that polkit is asked about.
inline constexpr std::size_t waiting_of_a_client = 16;
inline constexpr std::size_t bytes_of_a_large_call = 64UL << 10U;
inline constexpr std::size_t waiting_bytes = 4 * bytes;
// Questions about one user's clients that polkit may have at once: each can keep a person busy.
inline constexpr int questions_of_a_user = 8;

// Calls that wait for flows to be settled.
inline constexpr std::size_t settling = 4096;

// What of our messages clients have not read: the bus takes 127 MiB, and then nothing from us.
// Where it is more than this, who has more than his share unread is not answered, and changes are
// announced by Reset.
inline constexpr std::size_t unread_bytes = 32UL << 20U;
inline constexpr std::size_t unread_bytes_of_a_client = 64UL << 10U;

// While the kernel has no room for our messages, no call is served: its answer would have to wait
// anyway. How long the bus may take nothing: the kernel says that it has taken something after up
// to 32 KiB.
inline constexpr std::chrono::seconds time_to_take_a_message{30};

}  // namespace porthole::dbus::limits
