// What a node keeps over a clean stop and start: its points, with ids and revisions, and what its links know. With it both
// sides of a link go on where they stopped, and consumers see the last values, marked as not good, from the first moment.
//
// It is written at a clean stop and used once: after a crash the peers may know of changes that are not in it, so the node
// then begins a new life and everything is sent again. Main thread.
#pragma once

#include <string>

#include "link/link.h"
#include "namespace/namespace.h"

namespace sallyport::node {

// Restores into `ns`, which nobody has used yet, and removes the file. Whatever is wrong with it is logged, and the node
// starts as if it were not there.
link::LinksMemory load_mirror(const std::string& data_dir, const std::string& node, Namespace& ns);
// After everything that writes has stopped. A failure (disk full) is logged: the next start then sends everything.
void save_mirror(const std::string& data_dir, const Namespace& ns, const link::Links& links);

}  // namespace sallyport::node
