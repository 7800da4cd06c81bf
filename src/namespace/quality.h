// Quality is an OPC UA StatusCode (OPC 10000-4 §7.39), carried unchanged from the source to the last consumer.
#pragma once

#include <cstdint>
#include <string_view>

namespace sallyport {

using Status = std::uint32_t;

namespace status {
inline constexpr Status kGood = 0x00000000;
inline constexpr Status kUncertain = 0x40000000;
inline constexpr Status kUncertainNoCommunicationLastUsableValue = 0x408F0000;
inline constexpr Status kUncertainInitialValue = 0x40920000;
inline constexpr Status kBad = 0x80000000;
inline constexpr Status kBadNoCommunication = 0x80310000;
inline constexpr Status kBadWaitingForInitialData = 0x80320000;
inline constexpr Status kBadEncodingLimitsExceeded = 0x80080000;
inline constexpr Status kBadSecurityChecksFailed = 0x80130000;
inline constexpr Status kBadNoData = 0x809B0000;
inline constexpr Status kBadOutOfService = 0x808D0000;
inline constexpr Status kBadNotConnected = 0x808A0000;
inline constexpr Status kBadShutdown = 0x800C0000;
inline constexpr Status kBadNodeIdUnknown = 0x80340000;
inline constexpr Status kOverflowBit = 0x00000480;  // InfoType DataValue + Overflow
}  // namespace status

enum class Quality : std::uint8_t { good, uncertain, bad };

// Severity is the top two bits; 11 is reserved and reads as bad.
constexpr Quality quality_of(Status code) {
  const std::uint32_t severity = code >> 30;
  return severity == 0 ? Quality::good : severity == 1 ? Quality::uncertain : Quality::bad;
}
std::string_view to_string(Quality quality);

// "BadNoCommunication"; bits below the code (limit, overflow …) are ignored. Empty when the code has no name known here.
std::string_view status_name(Status code);

// What a consumer sees when an overlay lies over a point: never better than either. A point that is bad in its own right
// keeps its own reason.
constexpr Status overlaid(Status underlying, Status overlay) {
  if (quality_of(underlying) == Quality::bad) return underlying;
  return quality_of(overlay) >= quality_of(underlying) ? overlay : underlying;
}

}  // namespace sallyport
