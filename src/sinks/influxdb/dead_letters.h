// Lines that the server never takes, in a file that does not grow beyond two megabytes. One thread.
#pragma once

#include <string>
#include <string_view>

namespace sallyport::influxdb {

class DeadLetters {
 public:
  explicit DeadLetters(std::string file) : file_(std::move(file)) {}  // "": nothing is written
  // "# <why>" and the line. At a megabyte the file becomes <file>.1 and a new one begins. False when it cannot be written.
  bool put(std::string_view line, std::string_view why) const;

 private:
  const std::string file_;
};

}  // namespace sallyport::influxdb
