// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>

#include "types/place.hpp"

namespace porthole {

/// A flow that the kernel has an entry for.
struct TrackedFlow {
    Place source;       ///< who has begun it
    Place destination;  ///< what its first packet was sent to
    Place remote;       ///< who answers: the destination, after any translation
    Place shown;        ///< what answers are sent to: the source, after any translation
    bool answered = false;
    bool operator==(const TrackedFlow&) const = default;
};

/// What the kernel would do with a packet, as far as it can be asked. Both ends of one family.
class Tracer {
  public:
    Tracer() = default;
    Tracer(const Tracer&) = delete;
    Tracer& operator=(const Tracer&) = delete;
    Tracer(Tracer&&) = delete;
    Tracer& operator=(Tracer&&) = delete;
    virtual ~Tracer() = default;

    /// The index of the interface that packets of this host leave through to `remote`; 0: there is
    /// no way. Throws KernelFailure.
    [[nodiscard]] virtual int way_out(const Address& host, const Address& remote) = 0;
    /// The flow that a packet from `source` to `destination` belongs to, be it one of its first
    /// direction or an answer. Throws KernelFailure.
    [[nodiscard]] virtual std::optional<TrackedFlow> flow_of(Protocol protocol, const Place& source,
                                                             const Place& destination) = 0;
};

}  // namespace porthole
