// What systemd is told (sd_notify(3)); nothing happens when it does not listen. Any thread.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"

namespace sallyport::node {

void notify_ready(const std::string& status);
void notify_reloading();
void notify_stopping();
void notify_watchdog();
// How often systemd expects notify_watchdog() at least; nothing when it does not.
std::optional<Duration> watchdog_interval();

}  // namespace sallyport::node
