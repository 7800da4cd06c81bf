// GET /api/v1/history (docs/history.md): the question is checked here, and answered by the history's own threads.
#pragma once

#include <vector>

#include "base/clock.h"
#include "net/http_server.h"
#include "sinks/http/node_view.h"

namespace sallyport::http {

std::vector<net::HttpParameter> history_parameters();
net::HttpResponse history_answer(NodeView& view, UtcNanoseconds now, const net::HttpRequest& request);

}  // namespace sallyport::http
