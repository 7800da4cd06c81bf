#include "base/base64.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

std::string encoded(std::string_view text) {
  std::string out;
  append_base64(out, as_bytes(text));
  return out;
}

TEST(Base64, EncodesAndDecodesTheExamplesOfRfc4648) {
  const std::pair<std::string_view, std::string_view> table[] = {{"", ""},
                                                                 {"f", "Zg=="},
                                                                 {"fo", "Zm8="},
                                                                 {"foo", "Zm9v"},
                                                                 {"foob", "Zm9vYg=="},
                                                                 {"fooba", "Zm9vYmE="},
                                                                 {"foobar", "Zm9vYmFy"},
                                                                 {"\xff\xfe\xfb", "//77"}};
  for (const auto& [plain, text] : table) {
    EXPECT_EQ(encoded(plain), text);
    const auto back = parse_base64(text);
    ASSERT_TRUE(back) << text;
    EXPECT_EQ(as_text(*back), plain);
  }
}

TEST(Base64, RoundTripsEveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(as_text(*parse_base64(encoded(all))), all);
}

TEST(Base64, RefusesWhatItWouldNotWrite) {
  for (const std::string_view text :
       {"Z", "Zg", "Zg=", "====", "Z===", "Zg==Zg==", "Zm9=", "Zh==", "Zm 9", "Zm9-", "=Zm9", "Zg=a"}) {
    EXPECT_FALSE(parse_base64(text)) << text;
  }
}

}  // namespace
}  // namespace sallyport
