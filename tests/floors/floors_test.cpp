// Reads the tree and says where it leaves its shape (ARCHITECTURE.md): includes that point up or sideways, files that
// grew too long, connectors without their sample, links in the documents that lead nowhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path kRoot = SALLYPORT_SOURCE_DIR;
constexpr std::size_t kMaxLines = 700;

// Floors, lowest first. On one floor nobody includes a neighbour, except where `kMayInclude` says so.
const std::map<std::string, int> kFloors = {{"base", 0},    {"namespace", 1}, {"protocol", 1}, {"crypto", 1}, {"net", 2},  {"journal", 2},
                                            {"history", 2},  // beside the journal, which it reads as Feeds only; HTTP (3) asks it
                                            {"link", 3},    {"seal", 3},      {"sources", 3},   {"sinks", 3},    {"node", 4}, {"cli", 5}};
// Protocol glue (the type mapping of OPC UA, say) speaks of values and qualities.
const std::set<std::pair<std::string, std::string>> kMayInclude = {{"protocol", "namespace"}};

struct Include {
  std::size_t line = 0;
  std::string target;  // as written between the quotes
};

std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<Include> includes_of(const std::vector<std::string>& lines) {
  static const std::regex pattern(R"(^\s*#\s*include\s*"([^"]+)\")");
  std::vector<Include> found;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::smatch match;
    if (std::regex_search(lines[i], match, pattern)) found.push_back({i + 1, match[1]});
  }
  return found;
}

std::vector<std::string> levels(const std::string& path) {
  std::vector<std::string> parts;
  std::stringstream in(path);
  for (std::string part; std::getline(in, part, '/');) parts.push_back(part);
  return parts;
}

// Why `file` (below src/) may not include `target`; empty when it may.
std::string objection(const std::string& file, const std::string& target) {
  const auto from = levels(file);
  const auto to = levels(target);
  if (to.size() < 2) return "name the folder: includes are written from src/";
  if (!kFloors.contains(to[0])) return "'" + to[0] + "' is no floor";
  if (from.size() < 2) return {};  // main.cpp
  if (!kFloors.contains(from[0])) return "'" + from[0] + "' has no floor; give it one in floors_test.cpp";
  const bool connector = from[0] == "sources" || from[0] == "sinks";
  if (from[0] == to[0]) {
    if (connector && from.size() > 2 && to.size() > 2 && from[1] != to[1]) return "connectors do not know each other";
    return {};
  }
  if (connector && to[0] == "journal") return "a connector does not know the journal";
  if (kMayInclude.contains({from[0], to[0]})) return {};
  if (kFloors.at(to[0]) > kFloors.at(from[0])) return "points up";
  if (kFloors.at(to[0]) == kFloors.at(from[0])) return "points sideways";
  return {};
}

std::vector<fs::path> files_below(const fs::path& folder, const std::set<std::string>& extensions) {
  std::vector<fs::path> files;
  if (!fs::exists(folder)) return files;
  for (auto it = fs::recursive_directory_iterator(folder); it != fs::recursive_directory_iterator(); ++it) {
    const std::string name = it->path().filename();
    if (it->is_directory() && (name == "node_modules" || name == "build" || name.starts_with("."))) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file() && extensions.contains(it->path().extension())) {
      files.push_back(it->path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string below(const fs::path& file, const fs::path& base = kRoot) { return fs::relative(file, base).string(); }

std::vector<fs::path> connector_folders() {
  std::vector<fs::path> folders;
  for (const char* kind : {"sources", "sinks"}) {
    for (const auto& entry : fs::directory_iterator(kRoot / "src" / kind)) {
      if (entry.is_directory() && !fs::is_empty(entry.path())) folders.push_back(entry.path());
    }
  }
  return folders;
}

TEST(Floors, IncludesPointDown) {
  for (const auto& file : files_below(kRoot / "src", {".h", ".cpp", ".inc"})) {
    for (const auto& include : includes_of(lines_of(file))) {
      const std::string why = objection(below(file, kRoot / "src"), include.target);
      EXPECT_TRUE(why.empty()) << below(file) << ":" << include.line << ": \"" << include.target << "\": " << why;
    }
  }
}

TEST(Floors, IncludesNameFilesThatExist) {
  for (const auto& file : files_below(kRoot / "src", {".h", ".cpp"})) {
    for (const auto& include : includes_of(lines_of(file))) {
      EXPECT_TRUE(fs::exists(kRoot / "src" / include.target)) << below(file) << ":" << include.line;
    }
  }
}

TEST(Floors, SaysWhatItObjectsTo) {
  EXPECT_EQ(objection("link/session.cpp", "namespace/value.h"), "");
  EXPECT_EQ(objection("protocol/opcua/types.h", "namespace/value.h"), "");
  EXPECT_EQ(objection("sinks/http/http_sink.cpp", "sinks/http/sse.h"), "");
  EXPECT_EQ(objection("main.cpp", "cli/cli.h"), "");
  EXPECT_NE(objection("namespace/value.h", "link/link.h"), "");
  EXPECT_NE(objection("namespace/value.h", "protocol/opcua/types.h"), "");
  EXPECT_NE(objection("sources/opcua/a.cpp", "sources/modbus/b.h"), "");
  EXPECT_NE(objection("sources/opcua/a.cpp", "sinks/mqtt/b.h"), "");
  EXPECT_NE(objection("sinks/mqtt/a.cpp", "link/link.h"), "");
  EXPECT_NE(objection("sinks/mqtt/a.cpp", "journal/journal.h"), "");
  EXPECT_NE(objection("link/link.cpp", "sources/opcua/a.h"), "");
  EXPECT_NE(objection("node/node.cpp", "cli/run.h"), "");
  EXPECT_NE(objection("surprise/a.cpp", "base/result.h"), "");
  EXPECT_NE(objection("base/log.cpp", "log.h"), "");
}

TEST(Floors, NoFileIsTooLongToRead) {
  for (const char* folder : {"src", "tests", "fuzz", "bench"}) {
    for (const auto& file : files_below(kRoot / folder, {".h", ".cpp", ".js", ".mjs", ".ts"})) {
      const std::size_t lines = lines_of(file).size();
      EXPECT_LE(lines, kMaxLines) << below(file) << " has " << lines << " lines: split it where it does two things";
    }
  }
}

TEST(Floors, EachHeaderOpensBySayingWhatItIs) {
  for (const auto& file : files_below(kRoot / "src", {".h"})) {
    const auto lines = lines_of(file);
    EXPECT_TRUE(!lines.empty() && lines[0].starts_with("// ")) << below(file);
  }
}

TEST(Floors, CoreNamesNoConnector) {
  const std::regex word(R"(\b(modbus|mqtt|opcua|sparkplug|kafka|nats)\b)", std::regex::icase);
  for (const char* folder : {"base", "namespace", "link", "journal"}) {
    for (const auto& file : files_below(kRoot / "src" / folder, {".h", ".cpp"})) {
      const auto lines = lines_of(file);
      for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::string code = lines[i].substr(0, lines[i].find("//"));
        const bool in_test = below(file).ends_with("_test.cpp");
        EXPECT_TRUE(in_test || !std::regex_search(code, word)) << below(file) << ":" << i + 1 << ": " << lines[i];
      }
    }
  }
}

TEST(Floors, EachConnectorBringsReadmeSampleAndTests) {
  for (const auto& folder : connector_folders()) {
    for (const char* name : {"README.md", "sample.toml", "CMakeLists.txt"}) {
      EXPECT_TRUE(fs::exists(folder / name)) << below(folder) << " lacks " << name;
    }
    const auto files = files_below(folder, {".cpp"});
    EXPECT_TRUE(std::ranges::any_of(files, [](const fs::path& file) { return file.string().ends_with("_test.cpp"); }))
        << below(folder) << " has no *_test.cpp";
  }
}

// --- Documents ---------------------------------------------------------------------------------------------------------

// The anchor that a heading gets: lower case, spaces to dashes, punctuation dropped.
std::string anchor_of(const std::string& heading) {
  std::string anchor;
  for (const char c : heading) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == ' ') anchor += '-';
    else if (c == '-' || c == '_' || byte >= 0x80 || std::isalnum(byte)) anchor += static_cast<char>(std::tolower(byte));
  }
  return anchor;
}

std::vector<std::string> outside_code(const fs::path& file) {
  std::vector<std::string> kept;
  bool in_code = false;
  for (const auto& line : lines_of(file)) {
    if (line.starts_with("```")) in_code = !in_code;
    kept.push_back(in_code ? "" : line);
  }
  return kept;
}

std::set<std::string> anchors_of(const fs::path& file) {
  std::set<std::string> anchors;
  for (const auto& line : outside_code(file)) {
    const auto text = line.find_first_not_of('#');
    if (line.starts_with("#") && text != std::string::npos) anchors.insert(anchor_of(line.substr(text + 1)));
  }
  return anchors;
}

void check_link(const fs::path& file, std::size_t line, const std::string& link) {
  if (link.find("://") != std::string::npos || link.starts_with("mailto:")) return;
  const auto hash = link.find('#');
  const std::string name = link.substr(0, hash);
  const fs::path target = name.empty() ? file : file.parent_path() / name;
  ASSERT_TRUE(fs::exists(target)) << below(file) << ":" << line << ": no such file: " << link;
  if (hash == std::string::npos || target.extension() != ".md") return;
  EXPECT_TRUE(anchors_of(target).contains(link.substr(hash + 1))) << below(file) << ":" << line << ": no such heading: " << link;
}

TEST(Documents, LinksLeadSomewhere) {
  static const std::regex pattern(R"(\]\(([^)\s]+)\))");
  for (const auto& file : files_below(kRoot, {".md"})) {
    const auto lines = outside_code(file);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      for (std::sregex_iterator it(lines[i].begin(), lines[i].end(), pattern), end; it != end; ++it) {
        check_link(file, i + 1, (*it)[1]);
      }
    }
  }
}

TEST(Documents, ArchitectureNamesFilesThatExist) {
  static const std::regex pattern(R"(`((src|tests|docs|scripts)/[a-z0-9_./-]+)`)");
  const auto lines = outside_code(kRoot / "ARCHITECTURE.md");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (std::sregex_iterator it(lines[i].begin(), lines[i].end(), pattern), end; it != end; ++it) {
      const std::string name = (*it)[1];
      EXPECT_TRUE(fs::exists(kRoot / name) || name == "src/journal") << "ARCHITECTURE.md:" << i + 1 << ": " << name;
    }
  }
}

TEST(Documents, IndexNamesEachOfThem) {
  std::stringstream index;
  index << std::ifstream(kRoot / "docs" / "README.md").rdbuf();
  for (const auto& file : files_below(kRoot / "docs", {".md"})) {
    const std::string name = below(file, kRoot / "docs");
    if (name == "README.md" || name.starts_with("decisions/")) continue;
    EXPECT_NE(index.str().find("(" + name + ")"), std::string::npos) << "docs/README.md does not name " << name;
  }
}

TEST(Documents, FirstCommandStandsWithinThirtyLinesOfTheReadme) {
  const auto lines = lines_of(kRoot / "README.md");
  const auto first = std::ranges::find_if(lines, [](const std::string& line) { return line.find("make demo") != std::string::npos; });
  EXPECT_LT(first - lines.begin(), 30);
}

}  // namespace
