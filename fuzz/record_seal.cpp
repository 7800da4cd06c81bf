#include "record_seal.h"

#include "seal/container.h"

namespace sallyport::seal {
namespace {

constexpr unsigned kWhole = 6;

// The same each time: signatures and hashes are of fixed bytes, which a decoder cannot tell from others.
struct Body {
  Kind kind;
  Bytes bytes;
};

std::vector<Body> bodies() {
  Meta meta;
  meta.type = Type::float64;
  meta.unit = "bar";
  meta.range_low = 0;
  meta.range_high = 16;
  Hash hash;
  hash.fill(std::byte{0x5a});
  KeyBox box;
  box.reader = hash;
  box.wrapped = Bytes(48, std::byte{1});
  std::vector<Body> all(6);
  const auto add = [&](std::size_t at, Kind kind, const auto& body) {
    all[at].kind = kind;
    encode(all[at].bytes, body);
  };
  add(0, Kind::announcement, Announcement{1'700'000'000'000'000'000, std::chrono::seconds(1), true, Bytes(64, std::byte{0x30})});
  add(1, Kind::definitions, Definitions{{meta, Meta{}}, {{"acme/berlin/line1/temp", 0}, {"acme/berlin/line1/state", 1}}});
  const double numbers[] = {1, 2, 3};
  add(2, Kind::values,
      Values{1'700'000'000'000'000'000, 3, hash,
             {{status::kGood, 1'700'000'000'000'000'000, Value::from(23.4)},
              {status::kBadNoCommunication, 1'699'999'999'000'000'000, Value::text("running")},
              {status::kGood, 1'700'000'000'000'000'000, make_packed_array(Type::float64, std::as_bytes(std::span(numbers)))},
              {status::kGood, 0, Value()}}});
  add(3, Kind::manifest, Manifest{1'700'000'000'000'000'000, {1, 0, 70'000}});
  add(4, Kind::checkpoint, Checkpoint{1'700'000'000'000'000'000, hash, {{1, hash}, {300, hash}}});
  add(5, Kind::key, box);
  return all;
}

}  // namespace

void seal_seeds(const WriteSeed& write) {
  const std::vector<Body> all = bodies();
  for (unsigned i = 0; i < all.size(); ++i) {
    write(i, all[i].bytes);
    Bytes whole;
    encode_head(whole, {all[i].kind, false, "plant-1", "acme/berlin", 7, i, 44});
    append_body(whole, all[i].bytes);
    Proof proof;
    proof.index = 1;
    proof.count = 3;
    proof.path.resize(2);
    if (i % 2 == 0) proof.pq = Bytes(128, std::byte{2});
    append_proof(whole, proof);
    write(kWhole, whole);
  }
}

}  // namespace sallyport::seal
