// What the operating system knows of this process, under the names Prometheus' own clients use.
#pragma once

#include "sinks/http/metrics_text.h"

namespace sallyport::http {

void add_process_metrics(MetricsText& out);

}  // namespace sallyport::http
