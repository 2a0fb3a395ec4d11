#include "runtime/keeper/unknown_fields.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/keeper/sysctls.h"

namespace caisson::keeper {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;
using ::testing::HasSubstr;

constexpr int kUnknown = 1023;

using Path = std::vector<const FieldDescriptor*>;

// Walks keeper.proto itself, so that no message of a plan can be forgotten.
class UnknownFieldsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ifstream file(CAISSON_KEEPER_DESCRIPTORS, std::ios::binary);
    google::protobuf::FileDescriptorSet set;
    ASSERT_TRUE(set.ParseFromIstream(&file));
    for (const auto& each : set.file()) {
      ASSERT_NE(pool_.BuildFile(each), nullptr);
    }
  }

  static bool IsMessage(const FieldDescriptor* field) {
    return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
           !field->is_map();
  }

  // Calls `visit` with the way to each message below, and to itself.
  static void Visit(const Descriptor* type, const Path& path,
                    const std::function<void(const Path&)>& visit) {
    visit(path);
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* const field = type->field(i);
      if (IsMessage(field)) {
        Path longer = path;
        longer.push_back(field);
        Visit(field->message_type(), longer, visit);
      }
    }
  }

  static Message& Walk(Message& top, const Path& path) {
    Message* at = &top;
    for (const FieldDescriptor* const field : path) {
      const Reflection& reflection = *at->GetReflection();
      at = field->is_repeated() ? reflection.AddMessage(at, field)
                                : reflection.MutableMessage(at, field);
    }
    return *at;
  }

  template <typename Plan>
  static absl::Status Check(const Message& message) {
    Plan plan;
    EXPECT_TRUE(plan.ParseFromString(message.SerializeAsString()));
    return CheckKnown(plan);
  }

  template <typename Plan>
  void ExpectChecksAll(const std::string& name) {
    const Descriptor* const type =
        pool_.FindMessageTypeByName("caisson.keeper.v1." + name);
    ASSERT_NE(type, nullptr);
    int visited = 0;
    Visit(type, {}, [&](const Path& path) {
      ++visited;
      const std::unique_ptr<Message> plan(factory_.GetPrototype(type)->New());
      Message& deepest = Walk(*plan, path);
      SCOPED_TRACE(deepest.GetDescriptor()->name());
      EXPECT_TRUE(Check<Plan>(*plan).ok());
      CheckEnums<Plan>(*plan, deepest);
      deepest.GetReflection()->MutableUnknownFields(&deepest)->AddVarint(
          kUnknown, 1);
      const absl::Status status = Check<Plan>(*plan);
      EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr(absl::StrCat("unknown field ", kUnknown, " of ",
                                         deepest.GetDescriptor()->name())));
    });
    EXPECT_GE(visited, 2);
  }

  template <typename Plan>
  static void CheckEnums(const Message& plan, Message& deepest) {
    const Descriptor& type = *deepest.GetDescriptor();
    const Reflection& reflection = *deepest.GetReflection();
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor* const field = type.field(i);
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_ENUM) {
        continue;
      }
      SCOPED_TRACE(field->name());
      reflection.SetEnumValue(&deepest, field, kUnknown);
      EXPECT_TRUE(absl::IsInvalidArgument(Check<Plan>(plan)));
      reflection.ClearField(&deepest, field);
    }
  }

  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_;
};

TEST_F(UnknownFieldsTest, EveryMessageOfEveryPlanIsChecked) {
  ExpectChecksAll<v1::PodPlan>("PodPlan");
  ExpectChecksAll<v1::ContainerPlan>("ContainerPlan");
  ExpectChecksAll<v1::ExecPlan>("ExecPlan");
}

TEST(SysctlPathTest, FirstSeparatorSaysWhichItIs) {
  EXPECT_EQ(*SysctlPath("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
  EXPECT_EQ(*SysctlPath("net.ipv4.conf.eth0/100.forwarding"),
            "net/ipv4/conf/eth0.100/forwarding");
  EXPECT_EQ(*SysctlPath("net/ipv4/conf/eth0.100/forwarding"),
            "net/ipv4/conf/eth0.100/forwarding");
}

TEST(SysctlPathTest, NothingLeadsElsewhere) {
  for (const char* name : {"", "net/../kernel/core_pattern", "net..ipv4",
                           "/etc/passwd", "net.ipv4.//.x", "net/./ipv4"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(SysctlPath(name).status())) << name;
  }
}

}  // namespace
}  // namespace caisson::keeper
