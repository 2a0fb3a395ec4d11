#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/probe/proc_file.h"
#include "tests/probe/report.h"

namespace caisson::probe {
namespace {

void Strings(JsonWriter& json, const std::vector<std::string_view>& values) {
  json.BeginArray();
  for (const std::string_view value : values) {
    json.String(value);
  }
  json.EndArray();
}

// proc(5): id parent major:minor root target options [tags] - type source
// superblock-options.
void ReportMount(JsonWriter& json, std::string_view line) {
  const std::vector<std::string_view> fields = Split(line, ' ');
  const auto dash = std::find(fields.begin(), fields.end(), "-");
  if (dash - fields.begin() < 6 || fields.end() - dash < 3) {
    return;
  }
  json.BeginObject();
  json.Key("mountpoint").String(Unescape(fields[4]));
  json.Key("root").String(Unescape(fields[3]));
  json.Key("device").String(fields[2]);
  json.Key("options");
  Strings(json, Split(fields[5], ','));
  json.Key("propagation");
  Strings(json, {fields.begin() + 6, dash});
  json.Key("fstype").String(dash[1]);
  json.Key("source").String(Unescape(dash[2]));
  json.Key("super_options");
  // The last field is left out by no kernel, but an empty source would shift.
  Strings(json, fields.end() - dash > 3 ? Split(dash[3], ',')
                                        : std::vector<std::string_view>());
  json.EndObject();
}

}  // namespace

void ReportMounts(JsonWriter& json) {
  const std::optional<std::string> table = ReadWhole("/proc/self/mountinfo");
  if (!table.has_value()) {
    json.Null();
    return;
  }
  json.BeginArray();
  for (const std::string_view line : Split(*table, '\n')) {
    ReportMount(json, line);
  }
  json.EndArray();
}

}  // namespace caisson::probe
