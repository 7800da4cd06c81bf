#include "sources/opcua/opcua_model.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "base/settings.h"
#include "namespace/path.h"
#include "protocol/opcua/browse.h"
#include "sources/opcua/opcua_metadata.h"

namespace sallyport::opcua {
namespace {

constexpr std::size_t kNodesPerPoint = 16;  // folders and properties besides the points themselves
constexpr std::size_t kMaxNotes = 20;

// Bytes that tell nodes apart.
std::string node_key(const UA_NodeId& id) {
  std::string out(reinterpret_cast<const char*>(&id.namespaceIndex), sizeof id.namespaceIndex);
  out += static_cast<char>(id.identifierType);
  switch (id.identifierType) {
    case UA_NODEIDTYPE_NUMERIC:
      out.append(reinterpret_cast<const char*>(&id.identifier.numeric), sizeof id.identifier.numeric);
      break;
    case UA_NODEIDTYPE_GUID:
      out.append(reinterpret_cast<const char*>(&id.identifier.guid), sizeof id.identifier.guid);
      break;
    default:
      out += view(id.identifier.string);
      break;
  }
  return out;
}

// Levels that begin with '$' are hidden from "**", and the patterns of links: a plant's own names are not.
std::string level_of(std::string_view name) {
  std::string out = escape_level(name);
  if (out.starts_with('$')) out.replace(0, 1, "%24");
  return out;
}

std::size_t levels(std::string_view path) {
  return path.empty() ? 0 : static_cast<std::size_t>(std::ranges::count(path, '/')) + 1;
}

// One node of the tree on its way down.
struct Entry {
  std::string path;
  NodeId node;
  bool variable = false;
};

// A child that was found, before it has its path.
struct Child {
  std::string parent;  // path
  std::string name;
  std::string node_id;
  NodeId node;
  bool variable = false;
};

struct Start {
  NodeId node;
  std::string name;  // browse name
  bool variable = false;
};

// An enumeration travels as Int32; open62541 keeps it that way.
bool is_variable(const UA_Variant& node_class) {
  return UA_Variant_isScalar(&node_class) && node_class.type->memSize == sizeof(UA_Int32) &&
         *static_cast<const UA_Int32*>(node_class.data) == UA_NODECLASS_VARIABLE;
}

Result<std::vector<Start>> resolve_starts(Client& client, const std::vector<std::string>& texts,
                                          std::vector<std::string>& missing) {
  std::vector<Start> found;
  std::vector<std::string> found_texts;
  std::vector<UA_ReadValueId> what;
  for (const std::string& text : texts) {
    auto node = parse_node_id(text, client.namespaces());
    if (!node) {
      missing.push_back("start node '" + text + "': " + node.error().message);
      continue;
    }
    for (const UA_UInt32 attribute : {UA_ATTRIBUTEID_NODECLASS, UA_ATTRIBUTEID_BROWSENAME}) {
      UA_ReadValueId read{};
      read.nodeId = **node;  // borrowed from `found`
      read.attributeId = attribute;
      what.push_back(read);
    }
    found.push_back({std::move(*node), {}, false});
    found_texts.push_back(text);
  }
  const auto values = client.read(what);
  if (!values) return std::unexpected(values.error());
  std::vector<Start> out;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const UA_DataValue& node_class = *(*values)[2 * i];
    const UA_Variant& name = (*values)[2 * i + 1]->value;
    if (node_class.hasStatus && quality_of(node_class.status) == Quality::bad) {
      missing.push_back("start node '" + found_texts[i] + "' does not exist on this server (" +
                        UA_StatusCode_name(node_class.status) + "); `sallyport discover` shows what does");
      continue;
    }
    found[i].variable = is_variable(node_class.value);
    if (UA_Variant_hasScalarType(&name, &UA_TYPES[UA_TYPES_QUALIFIEDNAME]))
      found[i].name = text(static_cast<const UA_QualifiedName*>(name.data)->name);
    out.push_back(std::move(found[i]));
  }
  return out;
}

class ModelReader {
 public:
  ModelReader(Client& client, const ModelOptions& options)
      : client_(client), options_(options), left_(options.max_points * kNodesPerPoint) {}
  Result<Model> read();

 private:
  Result<void> find_starts();
  Result<void> descend();
  std::vector<Entry> place(std::vector<Child> children);
  Result<void> take(const Entry& entry);
  void note(std::string text);
  void note_unmatched();

  Client& client_;
  const ModelOptions& options_;
  std::size_t left_;  // nodes that may still be looked at
  std::vector<Pattern> include_, exclude_;
  std::vector<bool> matched_;
  std::unordered_set<std::string> seen_;
  std::vector<Entry> level_;
  std::vector<PropertyNode> properties_;
  std::vector<std::string> all_paths_;  // of variables not included, a few, for hints
  std::size_t duplicates_ = 0;
  Model model_;
};

void ModelReader::note(std::string text) {
  if (model_.notes.size() < kMaxNotes) model_.notes.push_back(std::move(text));
}

Result<void> ModelReader::find_starts() {
  auto starts = resolve_starts(client_, options_.start, model_.missing);
  if (!starts) return std::unexpected(starts.error());
  for (Start& start : *starts) {
    if (!seen_.insert(node_key(*start.node)).second) continue;
    Entry entry{start.variable ? level_of(start.name) : std::string(), std::move(start.node), start.variable};
    if (entry.variable) {
      const auto taken = [&](const Entry& other) { return other.variable && other.path == entry.path; };
      if (std::ranges::any_of(level_, taken)) {
        return fail(ErrorCode::invalid,
                    "two start nodes are variables named '" + entry.path + "'; browse their parents instead");
      }
      if (auto done = take(entry); !done) return done;
    }
    level_.push_back(std::move(entry));
  }
  return {};
}

// Makes a point of a variable that the patterns let through.
Result<void> ModelReader::take(const Entry& entry) {
  bool included = false;
  for (std::size_t i = 0; i < include_.size(); ++i) {
    if (!include_[i].matches(entry.path)) continue;
    included = matched_[i] = true;
  }
  included &= std::ranges::none_of(exclude_, [&](const Pattern& pattern) { return pattern.matches(entry.path); });
  if (!included) {
    if (all_paths_.size() < 10'000) all_paths_.push_back(entry.path);
    return {};
  }
  if (model_.points.size() == options_.max_points) {
    return fail(ErrorCode::limit,
                "more than max_points = " + std::to_string(options_.max_points) + " points; include less, or raise it");
  }
  model_.points.push_back({entry.path, entry.node.copy(), {}});
  return {};
}

// Gives the children of one level their paths, in an order that does not depend on the server's.
std::vector<Entry> ModelReader::place(std::vector<Child> children) {
  std::ranges::sort(children, [](const Child& a, const Child& b) {
    return std::tie(a.parent, a.name, a.node_id) < std::tie(b.parent, b.name, b.node_id);
  });
  // One node below one parent by several references is one child.
  const auto same = [](const Child& a, const Child& b) { return a.parent == b.parent && a.node_id == b.node_id; };
  children.erase(std::unique(children.begin(), children.end(), same), children.end());
  std::vector<Entry> out;
  for (std::size_t at = 0; at < children.size();) {
    std::size_t end = at;
    std::vector<Sibling> siblings;
    while (end < children.size() && children[end].parent == children[at].parent) {
      siblings.push_back({children[end].name, children[end].node_id});
      ++end;
    }
    const std::size_t before = duplicates_;
    const auto names = sibling_levels(siblings, duplicates_);
    if (duplicates_ != before)
      note("several nodes of one name below '" + children[at].parent + "'; all but the first got a suffix like ~2");
    for (std::size_t i = 0; i < siblings.size(); ++i) {
      Child& child = children[at + i];
      if (!seen_.insert(node_key(*child.node)).second) continue;  // by another way already
      Entry entry{child.parent.empty() ? names[i] : child.parent + "/" + names[i], std::move(child.node),
                  child.variable};
      const std::size_t prefix = options_.into.empty() ? 0 : options_.into.size() + 1;
      if (levels(options_.into) + levels(entry.path) > kMaxPathLevels || prefix + entry.path.size() > kMaxPathBytes) {
        if (model_.too_deep++ == 0)
          note("'" + entry.path + "' and what lies below is left out: a path has at most " +
               std::to_string(kMaxPathLevels) + " levels and " + std::to_string(kMaxPathBytes) + " bytes");
        continue;
      }
      out.push_back(std::move(entry));
    }
    at = end;
  }
  return out;
}

// Level by level.
Result<void> ModelReader::descend() {
  std::vector<std::size_t> point_of(level_.size());  // index of the entry's point + 1, or 0
  for (std::size_t i = 0, point = 0; i < level_.size(); ++i) {
    if (level_[i].variable && point < model_.points.size() && model_.points[point].path == level_[i].path)
      point_of[i] = ++point;
  }
  while (!level_.empty()) {
    std::vector<UA_NodeId> nodes;
    for (const Entry& entry : level_) nodes.push_back(*entry.node);
    auto below = browse(client_, nodes, {}, left_);
    if (!below) return std::unexpected(below.error());
    std::vector<Child> children;
    for (std::size_t i = 0; i < level_.size(); ++i) {
      left_ -= (*below)[i].references.size();
      for (Reference& reference : (*below)[i].references) {
        if (reference.property) {
          if (point_of[i] != 0 && is_known_property(reference))
            properties_.push_back({point_of[i] - 1, reference.name, std::move(reference.node)});
          continue;
        }
        std::string id = format_node_id(*reference.node, client_.namespaces());
        children.push_back({level_[i].path, std::move(reference.name), std::move(id), std::move(reference.node),
                            reference.node_class == UA_NODECLASS_VARIABLE});
      }
    }
    level_ = place(std::move(children));
    point_of.assign(level_.size(), 0);
    for (std::size_t i = 0; i < level_.size(); ++i) {
      if (!level_[i].variable) continue;
      const std::size_t before = model_.points.size();
      if (auto done = take(level_[i]); !done) return done;
      if (model_.points.size() != before) point_of[i] = model_.points.size();
    }
  }
  return {};
}

void ModelReader::note_unmatched() {
  for (std::size_t i = 0; i < include_.size(); ++i) {
    if (matched_[i] || (include_[i].text() == "**" && !model_.missing.empty())) continue;
    std::string hint;
    std::vector<std::string> candidates = all_paths_;
    for (std::size_t p = 0; p < model_.points.size() && p < 10'000; ++p) candidates.push_back(model_.points[p].path);
    if (const auto near = nearest(include_[i].text(), candidates)) {
      hint = "; did you mean '" + *near + "'?";
    } else {
      for (std::size_t c = 0; c < std::min<std::size_t>(candidates.size(), 3); ++c)
        hint += (c == 0 ? "; there are '" : "', '") + candidates[c];
      if (!candidates.empty()) hint += "', …";
    }
    note("include pattern '" + include_[i].text() + "' matches nothing" + hint);
  }
}

Result<Model> ModelReader::read() {
  for (const std::string& text : options_.include)
    include_.push_back(*Pattern::parse(text));  // checked by the settings
  for (const std::string& text : options_.exclude) exclude_.push_back(*Pattern::parse(text));
  matched_.assign(include_.size(), false);
  const MonotonicTime begun = SystemClock().monotonic();
  if (auto found = find_starts(); !found) return std::unexpected(found.error());
  if (auto done = descend(); !done) return std::unexpected(done.error());
  const MonotonicTime browsed = SystemClock().monotonic();
  if (auto done = MetadataReader(client_).read(model_.points, properties_); !done)
    return within("reading metadata", done.error());
  model_.browsing = browsed - begun;
  model_.metadata = SystemClock().monotonic() - browsed;
  note_unmatched();
  return std::move(model_);
}

}  // namespace

std::vector<std::string> sibling_levels(const std::vector<Sibling>& siblings, std::size_t& duplicates) {
  std::vector<std::string> out(siblings.size());
  std::unordered_set<std::string> taken;
  std::vector<std::size_t> order(siblings.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    return std::tie(siblings[a].name, siblings[a].node_id) < std::tie(siblings[b].name, siblings[b].node_id);
  });
  // First what needs no suffix, so that a node really named "x~2" keeps its name.
  std::vector<std::size_t> rest;
  for (const std::size_t i : order) {
    out[i] = level_of(siblings[i].name);
    if (!taken.insert(out[i]).second) rest.push_back(i);
  }
  for (const std::size_t i : rest) {
    const std::string name = out[i];
    for (int number = 2; !taken.insert(out[i] = name + "~" + std::to_string(number)).second;) ++number;
  }
  duplicates += rest.size();
  return out;
}

Result<std::vector<std::string>> missing_starts(Client& client, const std::vector<std::string>& start) {
  std::vector<std::string> missing;
  const auto found = resolve_starts(client, start, missing);
  if (!found) return std::unexpected(found.error());
  return missing;
}

Result<Model> read_model(Client& client, const ModelOptions& options) { return ModelReader(client, options).read(); }

}  // namespace sallyport::opcua
