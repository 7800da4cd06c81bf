// `sallyport run`: a node from its settings file until a signal ends it. SIGTERM and SIGINT stop, SIGHUP reloads.
#pragma once

#include <string>

namespace sallyport::node {

// Blocks; returns the exit code. Main thread, before any other thread exists.
int run(const std::string& config_file);

}  // namespace sallyport::node
