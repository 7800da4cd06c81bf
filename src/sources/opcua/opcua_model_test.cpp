#include "sources/opcua/opcua_model.h"

#include <gtest/gtest.h>

namespace sallyport::opcua {
namespace {

using Names = std::vector<std::string>;

TEST(OpcUaModel, BrowseNamesBecomeEscapedLevels) {
  std::size_t duplicates = 0;
  EXPECT_EQ(
      sibling_levels({{"a/b", "i=1"}, {"100%", "i=2"}, {"", "i=3"}, {"Bär", "i=4"}, {"c+d#e*", "i=5"}, {"$x$", "i=6"}},
                     duplicates),
      (Names{"a%2Fb", "100%25", "%", "Bär", "c%2Bd%23e%2A", "%24x$"}));
  EXPECT_EQ(duplicates, 0u);
}

TEST(OpcUaModel, SiblingsOfOneNameGetASuffixWhateverTheOrder) {
  std::size_t duplicates = 0;
  EXPECT_EQ(sibling_levels({{"x", "i=2"}, {"x", "i=1"}, {"y", "i=3"}, {"x", "i=4"}}, duplicates),
            (Names{"x~2", "x", "y", "x~3"}));
  EXPECT_EQ(duplicates, 2u);
  EXPECT_EQ(sibling_levels({{"x", "i=4"}, {"y", "i=3"}, {"x", "i=1"}, {"x", "i=2"}}, duplicates),
            (Names{"x~3", "y", "x", "x~2"}));
}

TEST(OpcUaModel, ANameThatLooksLikeASuffixKeepsIt) {
  std::size_t duplicates = 0;
  EXPECT_EQ(sibling_levels({{"x", "i=1"}, {"x", "i=2"}, {"x~2", "i=3"}}, duplicates), (Names{"x", "x~3", "x~2"}));
}

}  // namespace
}  // namespace sallyport::opcua
