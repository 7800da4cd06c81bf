// gzip for response bodies, whole or piece by piece.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace sallyport::net {

// Whether this Accept-Encoding takes gzip (RFC 9110 §12.5.3).
bool accepts_gzip(std::string_view accept_encoding);

class Gzip {
 public:
  Gzip();
  ~Gzip();
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  // Appends what has come out so far; with `last`, everything and the trailer.
  void add(std::string_view bytes, bool last, std::string& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::net
