// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace porthole {

/// Every failure that a caller of Porthole can be told about derives from this class. There are
/// three kinds: invalid input, a refusal, and a command that the kernel or the store did not take.
class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The caller gave a value that cannot be understood or is out of range.
/// The message names the argument, the value and what is allowed.
class InvalidArgument : public Error {
  public:
    /// `argument`: the name of the field as the caller knows it; `value`: what was given;
    /// `allowed`: what would have been accepted, as a noun phrase ("a port from 1 to 65535").
    InvalidArgument(std::string_view argument, std::string_view value, std::string_view allowed);
    explicit InvalidArgument(const std::string& message) : Error(message) {}
};

/// Why a well-formed request was refused. The names are those of the D-Bus errors.
enum class Refusal {
    port_taken,
    no_such_reservation,
    no_such_conflict,
    no_such_tunnel,
    tunnel_exists,
    no_such_peer,
    no_such_checkpoint,
    allowed_ip_taken,
    read_only,
    limit_exceeded,
    stale_generation,
    busy,
    unsupported,
    access_denied,
};

/// The request is well-formed, but the state of the gateway or its rules do not allow it.
class Refused : public Error {
  public:
    Refused(Refusal reason, const std::string& message) : Error(message), reason_(reason) {}
    [[nodiscard]] Refusal reason() const { return reason_; }

  private:
    Refusal reason_;
};

/// A command that the kernel refused. Nothing of what it belonged to was applied.
class KernelFailure : public Error {
  public:
    /// `command`: what was asked of the kernel, in words; `error`: errno, positive;
    /// `detail`: the text of the kernel's extended acknowledgement, may be empty.
    KernelFailure(std::string_view command, int error, std::string_view detail);
    [[nodiscard]] int code() const { return code_; }

  private:
    int code_;
};

/// The store could not be read or written.
class StorageFailure : public Error {
  public:
    /// `action`: what was attempted, in words; `detail`: the text of the store.
    StorageFailure(std::string_view action, std::string_view detail);
};

}  // namespace porthole
