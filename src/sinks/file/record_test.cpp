#include "sinks/file/record.h"

#include <gtest/gtest.h>

namespace sallyport::file {
namespace {

// A namespace with one route, for records to name as origin.
struct Fixture {
  SystemClock clock;
  Namespace ns{clock};
  RouteId route = *ns.add_route({.origin = "plant-1", .source = "line1", .hops = {"plant-1"}});
  RouteCache routes{ns};

  std::string record(Format format, std::string_view path, Value value, Status status = status::kGood,
                     UpdateKind kind = UpdateKind::value) {
    Update update;
    update.route = route;
    update.kind = kind;
    update.value = std::move(value);
    update.status = status;
    update.source_time = 1'700'000'000'123'456'789;
    std::string out;
    append_record(out, format, path, update, routes);
    return out;
  }
};

TEST(FileRecord, NdjsonIsThePointAsEverywhere) {
  EXPECT_EQ(Fixture().record(Format::ndjson, "acme/t", Value::from(1.5)),
            R"({"path":"acme/t","value":1.5,"type":"Double","quality":"good","status":"0x00000000",)"
            R"("timestamp":"2023-11-14T22:13:20.123456789Z","origin":"plant-1"})"
            "\n");
}

TEST(FileRecord, CsvHasTheColumnsOfItsHeader) {
  EXPECT_EQ(Fixture().record(Format::csv, "acme/t", Value::from(1.5), status::kBadNoCommunication),
            "acme/t,1.5,Double,bad,0x80310000,2023-11-14T22:13:20.123456789Z,plant-1\n");
}

TEST(FileRecord, CsvQuotesAsRfc4180Asks) {
  struct Case {
    Value value;
    const char* field;
  };
  for (const Case& c :
       {Case{Value::text("plain"), "plain"}, Case{Value::text("a,b"), "\"a,b\""},
        Case{Value::text("say \"hi\""), "\"say \"\"hi\"\"\""}, Case{Value::text("two\nlines"), "\"two\nlines\""},
        Case{Value::text(""), ""}, Case{Value(), ""}, Case{Value::from(true), "true"},
        Case{make_array(Type::int32, std::vector{Value::from(1), Value::from(2)}), "\"[1,2]\""}}) {
    const std::string line = Fixture().record(Format::csv, "p", c.value);
    EXPECT_TRUE(line.starts_with(std::string("p,") + c.field + ",")) << line;
  }
  EXPECT_TRUE(Fixture().record(Format::csv, "a,b", Value::from(1)).starts_with("\"a,b\",1,Int32,"));
}

TEST(FileRecord, ARemovedPointSaysSo) {
  EXPECT_EQ(Fixture().record(Format::ndjson, "acme/t", {}, 0, UpdateKind::removed),
            "{\"path\":\"acme/t\",\"removed\":true}\n");
  EXPECT_EQ(Fixture().record(Format::csv, "acme/t", {}, 0, UpdateKind::removed), "acme/t,,,removed,,,\n");
}

}  // namespace
}  // namespace sallyport::file
