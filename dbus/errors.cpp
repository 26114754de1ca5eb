// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/errors.hpp"

#include <string>

#include "core/log.hpp"
#include "types/error.hpp"

namespace porthole::dbus {
namespace {

std::string own(const char* name) { return std::string("org.porthole.Gateway1.Error.") + name; }

sdbus::Error defect(const char* message) {
    log::error("defect", "a D-Bus call failed unexpectedly: {}", message);
    return sdbus::Error("org.freedesktop.DBus.Error.Failed", message);
}

}  // namespace

std::string name_of(Refusal reason) {
    switch (reason) {
        case Refusal::port_taken:
            return own("PortTaken");
        case Refusal::no_such_reservation:
            return own("NoSuchReservation");
        case Refusal::no_such_conflict:
            return own("NoSuchConflict");
        case Refusal::no_such_tunnel:
            return own("NoSuchTunnel");
        case Refusal::tunnel_exists:
            return own("TunnelExists");
        case Refusal::no_such_peer:
            return own("NoSuchPeer");
        case Refusal::no_such_checkpoint:
            return own("NoSuchCheckpoint");
        case Refusal::allowed_ip_taken:
            return own("AllowedIpTaken");
        case Refusal::read_only:
            return own("ReadOnly");
        case Refusal::limit_exceeded:
            return own("LimitExceeded");
        case Refusal::stale_generation:
            return own("StaleGeneration");
        case Refusal::busy:
            return own("Busy");
        case Refusal::unsupported:
            return own("Unsupported");
        case Refusal::access_denied:
            return "org.freedesktop.DBus.Error.AccessDenied";
    }
    return "org.freedesktop.DBus.Error.Failed";
}

sdbus::Error to_dbus_error(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const sdbus::Error& error) {
        return error;
    } catch (const InvalidArgument& error) {
        return sdbus::Error(own("InvalidArgument"), error.what());
    } catch (const Refused& error) {
        return sdbus::Error(name_of(error.reason()), error.what());
    } catch (const KernelFailure& error) {
        return sdbus::Error(own("KernelFailed"), error.what());
    } catch (const StorageFailure& error) {
        return sdbus::Error(own("StorageFailed"), error.what());
    } catch (const std::exception& error) {
        return defect(error.what());
    } catch (...) {
        return defect("something that is no std::exception was thrown");
    }
}

}  // namespace porthole::dbus
