// One path, so many rounds, and nothing else: run twice under callgrind by scripts/instructions, whose difference is
// what the path itself takes. Without arguments: the names of the paths.
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "paths.h"

namespace sallyport::bench {
namespace {

constexpr std::size_t kPoints = 10'000;

template <typename Path>
void repeat(Path& path, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    if constexpr (requires { path.prepare(); }) path.prepare();
    path.round();
  }
}

struct Named {
  std::string_view name;
  void (*run)(int rounds);
};
constexpr Named kPaths[] = {
    {"apply",
     [](int rounds) {
       Apply path(kPoints);
       repeat(path, rounds);
     }},
    {"apply-and-pull",
     [](int rounds) {
       Pull path(kPoints);
       repeat(path, rounds);
     }},
    {"apply-and-hop",
     [](int rounds) {
       Hop path(kPoints);
       repeat(path, rounds);
     }},
    {"encode",
     [](int rounds) {
       Encode path(3);
       repeat(path, rounds);
     }},
    {"decode",
     [](int rounds) {
       Decode path(3);
       repeat(path, rounds);
     }},
    {"digest",
     [](int rounds) {
       const Digest path;
       repeat(path, rounds);
     }},
    {"journal-write",
     [](int rounds) {
       JournalWrite path;
       repeat(path, rounds);
     }},
    {"journal-read",
     [](int rounds) {
       JournalRead path;
       repeat(path, rounds);
     }},
    {"match",
     [](int rounds) {
       const Match path;
       repeat(path, rounds);
     }},
    {"json",
     [](int rounds) {
       Json path;
       repeat(path, rounds);
     }},
};

int run(int argc, char** argv) {
  if (argc == 1) {
    for (const Named& path : kPaths) std::printf("%.*s\n", static_cast<int>(path.name.size()), path.name.data());
    return 0;
  }
  int rounds = 0;
  if (argc == 3) std::from_chars(argv[2], argv[2] + std::strlen(argv[2]), rounds);
  for (const Named& path : kPaths) {
    if (argc != 3 || rounds <= 0 || path.name != argv[1]) continue;
    path.run(rounds);
    return 0;
  }
  std::fprintf(stderr, "usage: sallyport_instructions PATH ROUNDS\n");
  return 2;
}

}  // namespace
}  // namespace sallyport::bench

int main(int argc, char** argv) { return sallyport::bench::run(argc, argv); }
