#include <gtest/gtest.h>

#include "net/tls.h"

namespace sallyport::net {
namespace {

TEST(Address, ReadsNamesAndBothKindsOfNumbers) {
  struct Row {
    const char* text;
    const char* host;
    int port;
  };
  for (const Row& row : {Row{"dmz.acme.example:4433", "dmz.acme.example", 4433}, Row{"10.0.0.5:0", "10.0.0.5", 0},
                         Row{"[::1]:65535", "::1", 65535}, Row{"[fe80::1%eth0]:1", "fe80::1%eth0", 1}}) {
    const auto address = parse_address(row.text);
    ASSERT_TRUE(address) << address.error().message;
    EXPECT_EQ(address->host, row.host);
    EXPECT_EQ(address->port, row.port);
    EXPECT_EQ(to_string(*address), row.text);
  }
}

TEST(Address, SaysWhatIsWrongWithOneItCannotRead) {
  struct Row {
    const char* text;
    const char* says;
  };
  for (const Row& row :
       {Row{"", "port is missing"}, Row{"host", "port is missing"}, Row{"host:", "must be a number"},
        Row{"host:http", "must be a number"}, Row{"host:65536", "must be a number"}, Row{"host:-1", "must be a number"},
        Row{"host:44 ", "must be a number"}, Row{":4433", "0.0.0.0:port"}, Row{"::1:4433", "brackets"},
        Row{"[::1]", "port is missing"}, Row{"[::1", "']' is missing"}, Row{"[]:4433", "host is missing"},
        Row{"tls://host:4433", "without a scheme"}, Row{"a b:4433", "not a host name"},
        Row{"host/x:4433", "not a host name"}}) {
    const auto address = parse_address(row.text);
    ASSERT_FALSE(address) << row.text;
    EXPECT_EQ(address.error().code, ErrorCode::invalid);
    EXPECT_NE(address.error().message.find(row.says), std::string::npos) << row.text << ": " << address.error().message;
  }
}

}  // namespace
}  // namespace sallyport::net
