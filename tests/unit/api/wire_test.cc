#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <fstream>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "api/cri/v1/api.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// Compares what was compiled with the table of wire facts, as sets of the
// table's own lines, so that anything missing, changed or added shows.
namespace caisson {
namespace {

namespace pb = google::protobuf;
using ::testing::IsEmpty;

using Lines = std::set<std::string>;

std::string Line(absl::string_view kind, absl::string_view scope,
                 absl::string_view name, absl::string_view type,
                 absl::string_view number) {
  return absl::StrCat(kind, "\t", scope, "\t", name, "\t", type, "\t", number);
}

std::string TypeName(const pb::FieldDescriptor& field) {
  if (field.message_type() != nullptr) {
    return field.message_type()->name();
  }
  if (field.enum_type() != nullptr) {
    return field.enum_type()->name();
  }
  return field.type_name();
}

std::string FullTypeName(const pb::FieldDescriptor& field) {
  if (field.is_map()) {
    const pb::Descriptor& entry = *field.message_type();
    return absl::StrCat("map<", TypeName(*entry.map_key()), ",",
                        TypeName(*entry.map_value()), ">");
  }
  return absl::StrCat(field.is_repeated() ? "repeated " : "", TypeName(field));
}

void AddEnum(const pb::EnumDescriptor& type, absl::string_view scope,
             Lines& lines) {
  const std::string name = absl::StrCat(scope, type.name());
  lines.insert(Line("enum", name, "", "", ""));
  for (int i = 0; i < type.value_count(); ++i) {
    lines.insert(Line("value", name, type.value(i)->name(), "",
                      absl::StrCat(type.value(i)->number())));
  }
}

void AddMessage(const pb::Descriptor& message, Lines& lines) {
  lines.insert(Line("message", message.name(), "", "", ""));
  for (int i = 0; i < message.enum_type_count(); ++i) {
    AddEnum(*message.enum_type(i), absl::StrCat(message.name(), "."), lines);
  }
  for (int i = 0; i < message.field_count(); ++i) {
    const pb::FieldDescriptor& field = *message.field(i);
    // Explicit presence or a oneof would be another wire contract.
    EXPECT_EQ(field.containing_oneof(), nullptr) << field.full_name();
    lines.insert(
        Line("field", message.name(), field.name(), FullTypeName(field),
             absl::StrCat(field.number(),
                          field.options().deprecated() ? " deprecated" : "")));
  }
}

void AddService(const pb::ServiceDescriptor& service, Lines& lines) {
  lines.insert(Line("service", service.name(), "", "", ""));
  for (int i = 0; i < service.method_count(); ++i) {
    const pb::MethodDescriptor& method = *service.method(i);
    const auto stream = [](bool streams) { return streams ? "stream " : ""; };
    lines.insert(Line("rpc", service.name(), method.name(),
                      absl::StrCat(stream(method.client_streaming()),
                                   method.input_type()->name()),
                      absl::StrCat(stream(method.server_streaming()),
                                   method.output_type()->name())));
  }
}

const pb::FileDescriptor& CompiledFile() {
  return *::runtime::v1::VersionRequest::descriptor()->file();
}

Lines CompiledLines() {
  const pb::FileDescriptor& file = CompiledFile();
  Lines lines;
  for (int i = 0; i < file.message_type_count(); ++i) {
    AddMessage(*file.message_type(i), lines);
  }
  for (int i = 0; i < file.enum_type_count(); ++i) {
    AddEnum(*file.enum_type(i), "", lines);
  }
  for (int i = 0; i < file.service_count(); ++i) {
    AddService(*file.service(i), lines);
  }
  return lines;
}

Lines TableLines() {
  std::ifstream table(CAISSON_TESTDATA "/cri-v1-wire.tsv");
  Lines lines;
  std::string line;
  while (std::getline(table, line)) {
    if (!line.empty() && line[0] != '#') {
      // protobuf 3.21 has no option to redact a field in its debug output.
      lines.insert(std::string(absl::StripSuffix(line, " redact")));
    }
  }
  return lines;
}

Lines Minus(const Lines& a, const Lines& b) {
  Lines difference;
  for (const std::string& line : a) {
    if (b.count(line) == 0) {
      difference.insert(line);
    }
  }
  return difference;
}

TEST(WireTest, EverythingInTheTableIsCompiled) {
  const Lines table = TableLines();
  ASSERT_EQ(table.size(), 804u);
  EXPECT_THAT(Minus(table, CompiledLines()), IsEmpty());
}

TEST(WireTest, NothingIsCompiledThatTheTableLacks) {
  EXPECT_THAT(Minus(CompiledLines(), TableLines()), IsEmpty());
}

TEST(WireTest, NamesOnTheWireAreThoseOfTheKubelet) {
  EXPECT_EQ(CompiledFile().package(), "runtime.v1");
  EXPECT_EQ(CompiledFile().syntax(), pb::FileDescriptor::SYNTAX_PROTO3);
  EXPECT_NE(CompiledFile().FindServiceByName("RuntimeService"), nullptr);
  EXPECT_NE(CompiledFile().FindServiceByName("ImageService"), nullptr);
}

}  // namespace
}  // namespace caisson
