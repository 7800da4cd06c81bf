// Paths as NATS subjects and back: '/' ↔ '.', and what a subject's token cannot hold is %XX.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::nats {

// Of a name like "acme" or "plant.mirror": tokens between dots, none empty, no blanks, and no wildcards unless allowed.
Result<void> check_subject(std::string_view subject, bool wildcards);

// "acme/berlin/pump.1" → "PREFIX.acme.berlin.pump%2E1". '.', '*', '>', '%', blanks and control characters are escaped, so
// that distinct paths stay distinct. An empty prefix gives none.
void append_subject(std::string& out, std::string_view prefix, std::string_view path);

// The path behind `prefix`; what append_subject() made comes back as it was. Of foreign subjects: a level that could not
// stand in a path is escaped. malformed: it does not begin with the prefix, or there is nothing behind it.
Result<std::string> path_of(std::string_view prefix, std::string_view subject);

}  // namespace sallyport::nats
