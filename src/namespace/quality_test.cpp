#include "namespace/quality.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

TEST(Quality, ReadsSeverityFromTheTopTwoBits) {
  EXPECT_EQ(quality_of(0x00000000), Quality::good);
  EXPECT_EQ(quality_of(0x00300000), Quality::good);
  EXPECT_EQ(quality_of(0x408F0000), Quality::uncertain);
  EXPECT_EQ(quality_of(0x80310000), Quality::bad);
  EXPECT_EQ(quality_of(0xC0000000), Quality::bad) << "severity 11 is reserved";
}

TEST(Quality, HasItsThreeWords) {
  EXPECT_EQ(to_string(Quality::good), "good");
  EXPECT_EQ(to_string(Quality::uncertain), "uncertain");
  EXPECT_EQ(to_string(Quality::bad), "bad");
}

TEST(Quality, NamesEveryCodeThatThisProgramUses) {
  EXPECT_EQ(status_name(status::kGood), "Good");
  EXPECT_EQ(status_name(status::kUncertain), "Uncertain");
  EXPECT_EQ(status_name(status::kUncertainNoCommunicationLastUsableValue), "UncertainNoCommunicationLastUsableValue");
  EXPECT_EQ(status_name(status::kUncertainInitialValue), "UncertainInitialValue");
  EXPECT_EQ(status_name(status::kBad), "Bad");
  EXPECT_EQ(status_name(status::kBadNoCommunication), "BadNoCommunication");
  EXPECT_EQ(status_name(status::kBadWaitingForInitialData), "BadWaitingForInitialData");
  EXPECT_EQ(status_name(status::kBadNoData), "BadNoData");
  EXPECT_EQ(status_name(status::kBadOutOfService), "BadOutOfService");
  EXPECT_EQ(status_name(status::kBadNotConnected), "BadNotConnected");
  EXPECT_EQ(status_name(status::kBadShutdown), "BadShutdown");
  EXPECT_EQ(status_name(status::kBadNodeIdUnknown), "BadNodeIdUnknown");
}

TEST(Quality, FindsTheFirstAndTheLastNameOfTheTable) {
  EXPECT_EQ(status_name(0x00000000), "Good");
  EXPECT_EQ(status_name(0x81200000), "BadTicketInvalid");
  EXPECT_EQ(status_name(0x420F0000), "UncertainConfigurationError");
}

TEST(Quality, IgnoresFlagAndLimitBitsWhenItNamesACode) {
  EXPECT_EQ(status_name(status::kBadNoCommunication | 0x0000048F), "BadNoCommunication");
  EXPECT_EQ(status_name(status::kOverflowBit), "Good");
}

TEST(Quality, LeavesUnknownCodesNameless) {
  EXPECT_EQ(status_name(0x7FFF0000), "");
  EXPECT_EQ(status_name(0xFFFFFFFF), "");
  EXPECT_EQ(status_name(0x00010000), "");
}

TEST(Quality, AnOverlayNeverImprovesAPoint) {
  EXPECT_EQ(overlaid(status::kGood, status::kBadNoCommunication), status::kBadNoCommunication);
  EXPECT_EQ(overlaid(status::kBadOutOfService, status::kBadNoCommunication), status::kBadOutOfService);
  EXPECT_EQ(overlaid(status::kBadOutOfService, status::kGood), status::kBadOutOfService);
  EXPECT_EQ(overlaid(status::kUncertainInitialValue, status::kGood), status::kUncertainInitialValue);
  EXPECT_EQ(overlaid(status::kUncertainInitialValue, status::kUncertainNoCommunicationLastUsableValue),
            status::kUncertainNoCommunicationLastUsableValue);
}

}  // namespace
}  // namespace sallyport
