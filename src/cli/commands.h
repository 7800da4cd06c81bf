// All commands; main.cpp lists them.
#pragma once

#include "cli/command.h"

namespace sallyport::cli {

Command run_command();
Command check_command();
Command status_command();
Command browse_command();
Command read_command();
Command watch_command();
Command dump_command();
Command write_command();
Command history_command();
Command keys_command();
Command discover_command();
Command doctor_command();
Command simulate_command();
Command gaps_command();
Command journal_command();
Command bench_command();
Command version_command();

}  // namespace sallyport::cli
