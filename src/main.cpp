// sallyport: the command line, one line per command.
#include "cli/commands.h"

int main(int argc, char** argv) {
  using namespace sallyport::cli;
  return run_program(argc, argv,
                     {
                         run_command(),
                         check_command(),
                         status_command(),
                         browse_command(),
                         read_command(),
                         watch_command(),
                         dump_command(),
                         write_command(),
                         history_command(),
                         keys_command(),
                         discover_command(),
                         doctor_command(),
                         simulate_command(),
                         gaps_command(),
                         journal_command(),
                         bench_command(),
                         version_command(),
                     });
}
