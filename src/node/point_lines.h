// Lines that describe points: JSON with metadata for people and files, and the digest line by which mirrors are
// compared.
#pragma once

#include <string>

#include "namespace/namespace.h"

namespace sallyport::node {

// Point JSON (namespace/point_json.h) with "meta":{…} when there is any.
void append_point_with_meta(std::string& out, const PointView& point);
// ["path","Double",23.4,"0x00000000",1700000000000000000]: what must be equal on nodes that mirror each other.
void append_digest_line(std::string& out, const PointView& point);

}  // namespace sallyport::node
