// The admin socket's answer to "history": page after page from the history's own threads, as NDJSON.
#pragma once

#include "node/admin_answers.h"

namespace sallyport::node {

// `limit` is of the whole answer here and may be large; pages are made of it. Without one: everything.
Result<std::unique_ptr<AdminAnswer>> answer_history(const AdminContext& context, const history::Parameters& query, Waker waker);

}  // namespace sallyport::node
