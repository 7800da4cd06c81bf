// sallyport run: the node itself.
#include "node/run.h"

#include "cli/commands.h"

namespace sallyport::cli {

Command run_command() {
  return {"run", "Run a node", [](Options& options) -> Action {
            const auto config = std::make_shared<std::string>();
            options.config(*config);
            return [config] { return node::run(*config); };
          }};
}

}  // namespace sallyport::cli
